/** ETag and 304 for the GET routes that ask for it with `etag: true`: the reply is made, but not sent a second time. */
import { hash } from "node:crypto"
import type { FastifyReply, FastifyRequest } from "fastify"

/** An `onSend` hook (RFC 9110, 8.8.3 and 13.1.2). */
export function etag(
  request: FastifyRequest,
  reply: FastifyReply,
  payload: unknown,
  done: (error: Error | null, payload?: unknown) => void,
): void {
  if (reply.statusCode !== 200 || (typeof payload !== "string" && !Buffer.isBuffer(payload))) {
    done(null, payload)
    return
  }
  const tag = `"${hash("sha1", payload, "base64url")}"`
  reply.header("etag", tag)
  if (!matches(request.headers["if-none-match"], tag)) {
    done(null, payload)
    return
  }
  reply.code(304).removeHeader("content-type").removeHeader("content-length")
  done(null, null)
}

/** The weak comparison, which is the one for If-None-Match: `W/"x"` and `"x"` are the same. */
function matches(header: string | undefined, tag: string): boolean {
  if (!header) return false
  return header.trim() === "*" || header.split(",").some((one) => one.trim().replace(/^W\//, "") === tag)
}
