/** What of an answer is kept: its status, the headers that the handler gave it, and its bytes. */
import { validateHeaderValue } from "node:http"
import type { FastifyReply } from "fastify"

export interface Answer {
  status: number
  /** By their names in lower case. */
  headers: Record<string, string | number | string[]>
  /** Null: it has none. */
  body: Buffer | string | null
}

/** What a reply has for headers at some moment. */
export type Headers = Record<string, string | number | string[] | undefined>

/** Headers that belong to one sending of an answer, or are secrets, which are kept nowhere. */
const neverKept = new Set([
  "connection",
  "content-length",
  "date",
  "keep-alive",
  "set-cookie",
  "trailer",
  "transfer-encoding",
])

/**
 * Takes it from a reply whose last hook has run.
 * @param former the headers before the handler: those of the request and its limits, which another one gets anew
 * @throws Error for a stream; TypeError for a header that cannot be sent, and with the answer kept could not ever after
 */
export function answerOf(reply: FastifyReply, payload: unknown, former: Headers): Answer {
  const headers: Answer["headers"] = {}
  for (const [name, value] of Object.entries(reply.getHeaders() as Headers)) {
    for (const one of [value].flat()) validateHeaderValue(name, one as string)
    if (value !== undefined && value !== former[name] && !neverKept.has(name)) headers[name] = value
  }
  return { status: reply.statusCode, headers, body: wholeBody(payload) }
}

/** Gives the reply status and headers of the answer, and returns the body to send. */
export function giveTo(reply: FastifyReply, { status, headers, body }: Answer): Answer["body"] {
  reply.code(status).headers(headers)
  return body
}

/** Fastify sends streams too, and the Responses of the Fetch API. */
function wholeBody(payload: unknown): Answer["body"] {
  if (payload === undefined || payload === null) return null
  if (typeof payload === "string" || Buffer.isBuffer(payload)) return payload
  if ("destroy" in (payload as object)) (payload as { destroy(): void }).destroy()
  throw new Error("An idempotent route cannot answer with a stream, which could not be kept. Send the whole body.")
}
