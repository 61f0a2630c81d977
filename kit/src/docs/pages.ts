/** Answers the requests for the documentation. Each page and file is made when it is first asked for, and kept. */
import { existsSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import type { FastifyReply, FastifyRequest } from "fastify"
import type { App } from "../app.ts"
import type { Config } from "../core/config/index.ts"
import { notFound } from "../core/errors.ts"
import { type Html, sendHtml } from "../core/html.ts"
import { type Asset, makeAsset, sendAsset } from "./assets.ts"
import { endpointsOf, type Route } from "./endpoints.ts"
import { listPage } from "./list-page.ts"
import { openapi, type Project } from "./openapi.ts"
import { redoc, swagger } from "./viewers.ts"

const viewers = { swagger, redoc }

export type Pages = ReturnType<typeof makePages>

export interface PagesOptions {
  app: App
  config: Config
  mode: "production" | "development" | "test"
  /** When the server started, in milliseconds since 1970. */
  started: number
}

export function makePages(routes: readonly Route[], { app, config, mode, started }: PagesOptions) {
  const endpoints = endpointsOf(routes, app)
  const project = projectOf(app)
  const list = once(() => listPage(endpoints, { project, mode, docs: config.docs, started }))
  const document = once(() =>
    makeAsset("application/json; charset=utf-8", JSON.stringify(openapi(endpoints, project, config))),
  )
  const files = new Map<string, () => Promise<Asset>>()
  for (const [viewer, { files: its }] of Object.entries(viewers)) {
    for (const [name, make] of Object.entries(its)) files.set(`${viewer}/${name}`, once(make))
  }

  return {
    list(reply: FastifyReply): FastifyReply {
      const { contentSecurityPolicy, page } = list()
      return answerPage(reply, contentSecurityPolicy, page())
    },
    async openapi(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
      return sendAsset(request, reply, await document())
    },
    viewer(name: keyof typeof viewers, reply: FastifyReply): FastifyReply {
      const { contentSecurityPolicy, page } = viewers[name]
      return answerPage(reply, contentSecurityPolicy, page(`${project.name} API`))
    },
    async file(viewer: keyof typeof viewers, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
      const asset = files.get(`${viewer}/${(request.params as { file: string }).file}`)
      if (!asset) throw notFound()
      return sendAsset(request, reply, await asset())
    },
  }
}

const answerPage = (reply: FastifyReply, contentSecurityPolicy: string, page: Html): FastifyReply =>
  sendHtml(reply.headers({ "content-security-policy": contentSecurityPolicy, "cache-control": "no-cache" }), page)

/** The same function, called at most once. */
function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined
  return () => {
    made ??= { value: make() }
    return made.value
  }
}

/** The application as its project's package.json names it: the nearest one above its folder. */
function projectOf({ name, folder }: App): Project {
  for (let at = folder; ; at = dirname(at)) {
    const manifest = join(at, "package.json")
    if (existsSync(manifest)) {
      const { name: packageName, version = "0.0.0", description } = JSON.parse(readFileSync(manifest, "utf8"))
      return { name: name ?? packageName ?? "app", version, description }
    }
    if (dirname(at) === at) return { name: name ?? "app", version: "0.0.0" }
  }
}
