/** Ids of requests, in the log, in problems and in the header `X-Request-Id`. */
import { randomBytes } from "node:crypto"
import type { FastifyInstance } from "fastify"
import { headersOf } from "./reply-headers.ts"

/** Makes ids that are unique and cheap: a random part for the process, then a counter. */
export function requestIds(): () => string {
  const process = randomBytes(6).toString("base64url")
  let count = 0
  return () => `${process}-${(++count).toString(36)}`
}

export function showRequestIds(api: FastifyInstance): void {
  api.addHook("onRequest", (request, reply, done) => {
    headersOf(reply)["x-request-id"] = request.id
    done()
  })
}
