/**
 * Lets pages of other origins call the server, as far as `cors` says (Fetch standard, "CORS protocol"). An origin that is not
 * allowed gets no CORS headers, and its browser keeps the answer from the page; the request itself is answered as ever, since
 * CORS protects users' data from pages, not the server from requests.
 */
import type { FastifyInstance } from "fastify"
import type { Config } from "../core/config/index.ts"
import { BootError } from "../core/errors.ts"

type CorsSettings = Config["cors"]

export function cors(api: FastifyInstance, settings: CorsSettings): void {
  if (!settings.enabled) return
  refuseUnsafe(settings)
  const isPublic = settings.allow_origins.includes("*")
  const origins = new Set(settings.allow_origins)
  const exposed = settings.expose_headers.join(", ")
  const preflight = preflightHeaders(settings)

  api.addHook("onRequest", (request, reply, done) => {
    const { origin, "access-control-request-method": method } = request.headers
    // On every answer: a cache must not give one origin what was meant for another, or for none.
    reply.header("vary", "Origin")
    const isAllowed = isPublic || (origin !== undefined && origins.has(origin))
    if (isAllowed) {
      reply.header("access-control-allow-origin", isPublic ? "*" : origin)
      if (settings.allow_credentials) reply.header("access-control-allow-credentials", "true")
    }
    if (request.method !== "OPTIONS" || origin === undefined || method === undefined) {
      if (isAllowed && exposed) reply.header("access-control-expose-headers", exposed)
      done()
      return
    }
    // A preflight, which the browser sends by itself and without credentials: answered before any are asked for, on any
    // path. It does not count towards rate limits: it reads nothing, and a page cannot see why it was refused.
    if (isAllowed) reply.headers(preflight)
    // Not one of the route's own answers, so it need not be declared.
    reply.isProblem = true
    reply.code(204).send()
  })

  api.addHook("onSend", (_request, reply, payload, done) => {
    const vary = String(reply.getHeader("vary") ?? "")
    if (vary !== "Origin" && !/(^|,)\s*(origin|\*)\s*(,|$)/i.test(vary)) {
      reply.header("vary", vary ? `${vary}, Origin` : "Origin")
    }
    done(null, payload)
  })
}

function preflightHeaders(settings: CorsSettings): Record<string, string> {
  const { allow_methods: methods, allow_headers: headers, max_age: maxAge } = settings
  return {
    ...(methods.length > 0 && { "access-control-allow-methods": methods.join(", ") }),
    ...(headers.length > 0 && { "access-control-allow-headers": headers.join(", ") }),
    "access-control-max-age": String(maxAge),
  }
}

function refuseUnsafe(settings: CorsSettings): void {
  if (!settings.allow_credentials) return
  if (settings.allow_origins.includes("*")) {
    throw new BootError(
      'cors.allow_origins is "*" and cors.allow_credentials is on: any site could then act as the user who visits it, and ' +
        "browsers refuse it. Name the origins in CORS_ALLOW_ORIGINS, or set CORS_ALLOW_CREDENTIALS=false.",
    )
  }
  if (settings.allow_origins.includes("null")) {
    throw new BootError(
      'cors.allow_origins has "null" and cors.allow_credentials is on: any site can have the origin "null", in a sandboxed ' +
        'frame. Leave "null" out, or set CORS_ALLOW_CREDENTIALS=false.',
    )
  }
  for (const list of ["allow_methods", "allow_headers", "expose_headers"] as const) {
    if (!settings[list].includes("*")) continue
    throw new BootError(
      `cors.${list} has "*", which browsers do not take together with cors.allow_credentials. Name what you mean.`,
    )
  }
}
