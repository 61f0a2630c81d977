/**
 * Every answer that is not a success, as RFC 9457 `application/problem+json`. A client learns what to do about it; what
 * went wrong inside goes to the log, once, with its cause.
 */
import { STATUS_CODES } from "node:http"
import type { FastifyError, FastifyReply, FastifyRequest } from "fastify"
import { type Fault, HttpError, unavailable } from "../core/errors.ts"
import { isUnreachable } from "../db/database.ts"
import { RedisUnreachable } from "../db/redis.ts"
import type {} from "./requests.ts"

declare module "fastify" {
  interface FastifyReply {
    /** True once the answer is a problem: it need not be among the route's declared responses. */
    isProblem: boolean
  }
}

/** The body of a problem. */
export interface Problem {
  type: string
  title: string
  status: number
  detail: string
  request_id?: string
  errors?: Fault[]
}

/** Makes the body; `type` is "about:blank", which RFC 9457 gives to problems that their status explains. */
export function problem(status: number, detail: string, requestId?: string, errors?: Fault[]): Problem {
  return {
    type: "about:blank",
    title: STATUS_CODES[status] ?? "Error",
    status,
    detail,
    ...(requestId && { request_id: requestId }),
    ...(errors && { errors }),
  }
}

/** Fastify's error handler: whatever a hook, a validation or a handler throws ends here. */
export function answerError(error: FastifyError | Error, request: FastifyRequest, reply: FastifyReply): void {
  const known = asHttpError(error, request.method)
  // That a request which was called off fails is our doing, and was logged where it was called off.
  if (known.statusCode >= 500 && !request.work?.abortReason && !isGone(error)) {
    const failed = `${request.method} ${request.routeOptions.url ?? request.url} failed (${request.id}):`
    // Every request of an outage fails alike, and where in the code says nothing of it.
    if (isUnreachable(error)) request.log.warn(`${failed} ${whatIsAway(error)} cannot be reached: ${error.message}`)
    else request.log.error({ err: error }, failed)
  }
  sendProblem(request, reply, known)
}

/** Answers with an error that the log need not have. */
export function sendProblem(
  request: FastifyRequest,
  reply: FastifyReply,
  { statusCode, message, headers, errors }: HttpError,
): FastifyReply {
  reply.isProblem = true
  for (const name of ofAnotherAnswer) reply.removeHeader(name)
  if (headers) reply.headers(headers)
  return reply
    .code(statusCode)
    .type("application/problem+json")
    .send(JSON.stringify(problem(statusCode, message, request.id, errors)))
}

/** The client went away before its request was whole: its affair, and the log of requests says so. */
const isGone = (error: Error) => (error as NodeJS.ErrnoException).code === "ECONNRESET" && error.message === "aborted"

/** Headers that a handler may have set for the answer that it did not give. */
const ofAnotherAnswer = [
  "cache-control",
  "content-disposition",
  "content-encoding",
  "etag",
  "last-modified",
  "link",
  "location",
]

/** What the client is told of an error: its own words below 500, and nothing of the inside above. */
function asHttpError(error: FastifyError | Error, method: string): HttpError {
  if (error instanceof HttpError) {
    return error.statusCode < 500 || error.statusCode === 503 ? error : internal(error.statusCode)
  }
  if (isUnreachable(error)) {
    // A connection can break between a commit and its answer.
    const next = changes.has(method) ? "Look whether this was done before you try again." : "Try again soon."
    return unavailable(`The database cannot be reached. ${next}`, { headers: { "retry-after": "2" } })
  }
  const status = (error as FastifyError).statusCode ?? 500
  if (status < 400 || status >= 500) return internal(500)
  return new HttpError(status, fastifyDetails[(error as FastifyError).code] ?? error.message)
}

/** What the log says; to clients where things are kept is nothing. */
const whatIsAway = (error: Error): string => (error instanceof RedisUnreachable ? "Redis" : "The database")

/** Methods that may have changed something. */
const changes = new Set(["POST", "PUT", "PATCH", "DELETE"])

const internal = (status: number) =>
  new HttpError(status, "Something went wrong here. It was logged under the request id.")

/** Fastify's own errors whose texts do not say what to do. */
const fastifyDetails: Record<string, string> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: "Send the body as application/json, with that Content-Type.",
  FST_ERR_CTP_BODY_TOO_LARGE: "The body is too large.",
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: "The body is not as long as its Content-Length says.",
}
