/**
 * Headers that tell browsers to be careful, on every answer. A route that needs another value sets it with `reply.header`,
 * which replaces ours, as the documentation pages do with their Content-Security-Policy.
 */
import type { ServerResponse } from "node:http"
import type { FastifyInstance } from "fastify"
import type { Config } from "../core/config/index.ts"
import { headersOf } from "./reply-headers.ts"

/** @param Response the server's responses, which have those headers from the start that are always the same */
export function securityHeaders(
  api: FastifyInstance,
  settings: Config["security"],
  Response: typeof ServerResponse | undefined,
): void {
  const headers = plainSecurityHeaders(settings)
  // Without includeSubDomains: it would bind hosts that this server knows nothing of.
  const transport = settings.hsts_max_age > 0 ? `max-age=${settings.hsts_max_age}` : undefined

  api.addHook("onRequest", (request, reply, done) => {
    // Fastify's injection has a response of its own.
    if (!Response || !(reply.raw instanceof Response)) Object.assign(headersOf(reply), headers)
    // RFC 6797, section 7.2: never over plain HTTP.
    if (transport && request.protocol === "https") reply.header("strict-transport-security", transport)
    done()
  })
}

/**
 * The same headers for answers that no request of Fastify stands behind, such as a 400 to what is no HTTP. Without
 * Strict-Transport-Security, which depends on the request.
 */
export function plainSecurityHeaders(settings: Config["security"]): Record<string, string> {
  return {
    // What is declared as JSON or text is never run as a script.
    "x-content-type-options": "nosniff",
    // Nobody else may frame a page and lure clicks onto it. A page of the same origin could do all that without a frame.
    "x-frame-options": "SAMEORIGIN",
    ...(settings.content_security_policy && { "content-security-policy": settings.content_security_policy }),
    // Other sites learn the origin, not the path. "no-referrer" would make the Origin of our own forms "null".
    "referrer-policy": "strict-origin-when-cross-origin",
    // The filter of old browsers could be used to attack: off (OWASP Secure Headers).
    "x-xss-protection": "0",
    ...(settings.permissions_policy && { "permissions-policy": settings.permissions_policy }),
    // A page that opens ours, or is opened by it, gets no hold of its window.
    "cross-origin-opener-policy": "same-origin",
    // Other origins cannot embed what is here, which would bring it into their process (Spectre). CORS requests are not
    // affected (Fetch, section 3.7), so this fits whatever `cors` allows; an <img> there takes crossorigin.
    "cross-origin-resource-policy": "same-origin",
  }
}
