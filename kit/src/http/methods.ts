/**
 * Answers what no route takes: 404 for an unknown path; for a known one 204 to OPTIONS and 405 to another method, both with
 * `Allow`. Nobody need be logged in.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify"
import findMyWay from "find-my-way"
import { HttpError, notFound } from "../core/errors.ts"
import type { StaticFiles } from "./static/static-files.ts"

/** The methods that a path can be asked about. */
const asked = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] as const

/** How paths are read; slugs are longer than the 100 characters that the router would take. */
export const routerOptions = { ignoreTrailingSlash: true, maxParamLength: 500 }

/** @param files know paths of their own, and perhaps a page for those that nobody knows */
export function answerUnrouted(api: FastifyInstance, files: StaticFiles | undefined): void {
  // Fastify's router finds a handler for a method and a path; this one, of the same kind, knows which methods a path has.
  const paths = findMyWay(routerOptions)
  api.addHook("onRoute", ({ method, url, config }) => {
    if (config?.isStatic) return
    for (const one of [method].flat()) {
      if (!paths.hasRoute(one as findMyWay.HTTPMethod, url)) paths.on(one as findMyWay.HTTPMethod, url, () => {})
    }
  })

  const answer = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const path = request.url.split("?", 1)[0]!
    let allowed = path === "*" ? [...asked] : asked.filter((method) => paths.find(method, path))
    if (allowed.length === 0 && (await files?.has(request))) allowed = ["GET", "HEAD"]
    if (allowed.length === 0) {
      if (await files?.answerUnknown(request, reply)) return reply
      throw notFound()
    }
    const allow = [...allowed, "OPTIONS"].join(", ")
    if (request.method === "OPTIONS") return reply.code(204).header("allow", allow).send()
    throw new HttpError(405, `${request.method} is not for this path. It takes ${allow}.`, { headers: { allow } })
  }

  // Before the body is looked at: what is wrong with it is not what is wrong.
  api.addHook("onRequest", (request, reply, done) => {
    if (request.is404) answer(request, reply).catch(done)
    else done()
  })
  // A route may find that there is nothing, as that of the static files does.
  api.setNotFoundHandler(answer)
}
