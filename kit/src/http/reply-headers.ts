/**
 * The headers of a reply, as the object that Fastify keeps them in. `reply.header` is the way to set one; for the dozen that
 * every answer has it costs six times as much as all else that makes them.
 */
import type { FastifyReply } from "fastify"

type Headers = Record<string, string | number | string[] | undefined>

let place: symbol | undefined

/** Names must be in lower case, and none may be `set-cookie`, which is a list. */
export function headersOf(reply: FastifyReply): Headers {
  place ??= Object.getOwnPropertySymbols(reply).find(({ description }) => description === "fastify.reply.headers")
  const headers = place && (reply as unknown as Record<symbol, Headers | undefined>)[place]
  if (!headers) throw new Error("This version of Fastify keeps the headers of a reply elsewhere: see headersOf.")
  return headers
}
