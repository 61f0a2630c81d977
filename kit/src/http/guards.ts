/**
 * Requests that Node and Fastify would let through although two readers could understand them differently, which is what
 * request smuggling and cache poisoning live on (RFC 9110, RFC 9112). They are answered 400 before anything reads them.
 */
import type { IncomingMessage } from "node:http"
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify"
import { badRequest, HttpError } from "../core/errors.ts"

export function guardRequests(api: FastifyInstance): void {
  const isHost = hostCheck()
  // Node would answer an unknown expectation by itself, without a body; the guard below does it.
  api.server.on("checkExpectation", (request, response) => void api.server.emit("request", request, response))
  api.addHook("onRequest", (request: FastifyRequest, _reply: FastifyReply, done: (error?: Error) => void) => {
    const fault = faultOf(request.raw, isHost)
    if (fault) done(badRequest(fault))
    else if (request.headers.expect && request.headers.expect.toLowerCase() !== "100-continue") {
      done(new HttpError(417, "Only 100-continue can be expected here."))
    } else done()
  })
}

/** Says what is wrong with the head of a request; undefined when nothing is. */
function faultOf(request: IncomingMessage, isHost: (host: string) => boolean): string | undefined {
  const { httpVersion, headers, rawHeaders } = request
  if (httpVersion !== "1.1") {
    if (httpVersion !== "1.0") return `HTTP/${httpVersion} cannot be spoken in this way. Use HTTP/1.1.`
    if (headers["transfer-encoding"]) return "HTTP/1.0 has no Transfer-Encoding."
  }
  let hosts = 0
  let contentTypes = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!
    // Node joins or drops repeated headers; most names are passed over by their length alone.
    if (name.length === 4 && name.toLowerCase() === "host") hosts++
    else if (name.length === 12 && name.toLowerCase() === "content-type") contentTypes++
  }
  if (hosts > 1) return "There are two Host headers."
  if (contentTypes > 1) return "There are two Content-Type headers."
  if (hosts === 0) return httpVersion === "1.0" ? undefined : "The Host header is missing."
  if (!isHost(headers.host!)) return "The Host header is not a host and port."
  const url = request.url!
  if (url === "*" && request.method !== "OPTIONS") return "Only OPTIONS can ask about *."
  // PostgreSQL's text cannot hold it. In a path it is an id that nothing has: 404, by its schema.
  if (url.includes("%00") && url.includes("?") && url.lastIndexOf("%00") > url.indexOf("?")) {
    return "The query has a NUL character."
  }
  return undefined
}

/** A name, an IPv4 address or an IPv6 address in brackets, and perhaps a port. */
const hostPattern = /^(?:[a-z0-9_](?:[a-z0-9_.-]{0,253})|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?$/i

/** Checks each Host once: a server is called by a few names, and the pattern costs more than all else here. */
function hostCheck(): (host: string) => boolean {
  const known = new Set<string>()
  return (host) => {
    if (known.has(host)) return true
    if (!hostPattern.test(host)) return false
    if (known.size < 100) known.add(host)
    return true
  }
}

/**
 * The path that a request is routed by. `GET http://host/path` asks for `/path`: proxies send it, and the router must not take
 * the whole for a path. A `%` that encodes nothing is taken for itself, so that such a path is one that nothing has (404), with
 * all that an answer has; Fastify would refuse it before its hooks.
 */
export function pathOfTarget(request: { url?: string | undefined }): string {
  const target = request.url ?? "/"
  const isPath = target.charCodeAt(0) === 47 /* / */ || target === "*"
  const url = isPath ? target : pathOfUrl(target)
  return url.includes("%") && !isDecodable(url) ? url.replaceAll("%", "%25") : url
}

function pathOfUrl(url: string): string {
  const path = /^https?:\/\/[^/?#]*(.*)$/i.exec(url)?.[1] ?? url
  return path.startsWith("/") ? path : `/${path}`
}

function isDecodable(url: string): boolean {
  try {
    decodeURIComponent(url.split("?", 1)[0]!)
    return true
  } catch {
    return false
  }
}
