/**
 * The log of requests: a line when one comes, a line when it was answered, warnings of slow ones and of failed
 * authentications. A request without parameters costs two string concatenations; anything dearer belongs behind an `if`.
 */
import { type FastifyInstance, type FastifyReply, type FastifyRequest, LogController } from "fastify"
import type { Config } from "../core/config/index.ts"
import { escapeControls } from "../core/log/escape.ts"
import type { Log, LogLevel } from "../core/log.ts"
import { createMask, type Mask, masked } from "../core/mask.ts"
import type { watchRequests } from "./requests.ts"

/** How a request ended. */
interface Answer {
  ms: number
  isSlow: boolean
  /** Why it was not sent to its end; undefined when it was. */
  ending: string | undefined
  level: LogLevel
}

/** Fastify's own lines of a request would repeat ours; what is left is what only Fastify knows: why a stream broke. */
export class BrokenStreamsOnly extends LogController {
  constructor() {
    super({ disableRequestLogging: true })
  }

  override streamError(error: NodeJS.ErrnoException, request: FastifyRequest, reply: FastifyReply): void {
    // A client that hung up is no error, and has its line.
    if (error.code === "ERR_STREAM_PREMATURE_CLOSE") return
    reply.log.error({ err: error }, `${request.method} ${request.routeOptions.url ?? "-"} broke off (${request.id}):`)
  }
}

/** The URL as it is logged, once it was. */
const shown = Symbol("shown URL")
type Logged = FastifyRequest & { [shown]?: string }

/** @param ends what {@link watchRequests} returns: it tells when a request ended. */
export function requestLog(
  api: FastifyInstance,
  settings: Config["logging"],
  log: Log,
  ends: ReturnType<typeof watchRequests>,
): void {
  const requests = log.for("request")
  const authentication = log.for("auth")
  const mask = createMask(settings.mask)
  const logsAnswers = settings.requests !== "off" && requests.isLevelEnabled("info")
  const logsBoth = logsAnswers && settings.requests === "both"
  const refusals = new WeakMap<FastifyRequest, string>()
  const urlOf = (request: Logged): string => (request[shown] ??= escapeControls(shownUrl(request, mask)))

  ends.onEnd((request, reply) => {
    const ms = performance.now() - request.work.began
    const isSlow = ms > settings.slow_after && !isEventStream(reply)
    const ending = reply.raw.writableFinished ? undefined : endingOf(request, reply)
    const level = isSlow || ending === brokenOff ? "warn" : "info"
    if (logsAnswers || level === "warn") answered(request, reply, { ms, isSlow, ending, level })
    if (reply.statusCode === 401 || request.caller) authenticated(request, reply)
  })

  function answered(request: FastifyRequest, reply: FastifyReply, answer: Answer): void {
    const { method } = request.raw
    const url = urlOf(request)
    const status = reply.statusCode
    const duration = tenths(answer.ms)
    const user = request.caller?.id ?? "-"
    // The line of the request, which has them otherwise, may be off.
    const address = logsBoth ? "" : ` from ${request.ip ?? "-"}`
    const body = shownBody(request.body, mask)
    const message =
      `Response: ${method} ${url}${address} -> ${answer.ending ?? status}${answer.isSlow ? " SLOW!" : ""} ` +
      `${duration} ms user=${user} id=${request.id}${body}`
    requests.say(answer.level, message, { method, url, status, ms: Number(duration), user, request_id: request.id })
  }

  function authenticated(request: FastifyRequest, reply: FastifyReply): void {
    const { caller, raw, id } = request
    if (reply.statusCode === 401) {
      const why = refusals.get(request) ?? "Not logged in."
      const user = caller?.id ?? "-"
      authentication.warn(
        `Refused: ${raw.method} ${urlOf(request)} from ${request.ip ?? "-"} user=${user} id=${id}: ${why}`,
      )
    } else if (caller && authentication.isLevelEnabled("debug")) {
      authentication.debug(
        `Let in: ${raw.method} ${urlOf(request)} user=${caller.id} (${caller.role}, ${caller.via}) id=${id}`,
      )
    }
  }

  if (logsBoth) {
    api.addHook("onRequest", (request, _reply, done) => {
      const { method } = request.raw
      const url = urlOf(request)
      const address = request.ip ?? "-"
      const message = `Request: ${method} ${url} from ${address}`
      requests.say("info", message, { method, url, address, request_id: request.id })
      done()
    })
  }
  // Only an error says why somebody was refused.
  api.addHook("onError", (request, _reply, error, done) => {
    if (error.statusCode === 401) refusals.set(request, error.message)
    done()
  })
}

/** The URL as lines show it, without secrets, be they parameters of the query or of the path (`/reset/:token`). */
function shownUrl(request: FastifyRequest, mask: Mask): string {
  const url = request.raw.url ?? ""
  let path = url
  for (const name in request.params as Record<string, string>) {
    if (mask.isSecret(name)) path = withoutSegment(path, (request.params as Record<string, string>)[name])
  }
  return mask.url(path)
}

const withoutSegment = (url: string, secret: string | undefined) => {
  if (!secret) return url
  const end = url.search(/[?#]|$/)
  const segments = url.slice(0, end).split("/")
  return segments.map((segment) => (decode(segment).includes(secret) ? masked : segment)).join("/") + url.slice(end)
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}

/** Milliseconds with a tenth, from whole numbers: `toFixed` costs more than the rest of the line. */
function tenths(ms: number): string {
  const all = Math.round(ms * 10)
  const whole = Math.floor(all / 10)
  return `${whole}.${all - whole * 10}`
}

/** A stream of events lasts as long as its reader stays. */
const isEventStream = (reply: FastifyReply) => String(reply.getHeader("content-type")).startsWith("text/event-stream")

const hungUp = "client hung up"
const brokenOff = "broken off"

/** Why an answer was not sent to its end. Only a client that went leaves an end or an error on the connection. */
function endingOf({ raw }: FastifyRequest, reply: FastifyReply): string {
  const { socket } = raw
  return (socket.errored || socket.readableEnded) && !reply.request.work?.abortReason ? hungUp : brokenOff
}

function shownBody(body: unknown, mask: Mask): string {
  if (body === undefined || body === null) return ""
  const json = mask.json(body)
  return json === "{}" ? "" : ` body=${escapeControls(json)}`
}
