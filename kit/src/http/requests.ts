/**
 * Requests that nobody waits for any more: a GET whose client hung up, and any that takes too long. They are called off:
 * `request.signal` aborts, their query is cancelled in PostgreSQL, and a request over its time gets 503.
 */
import type { FastifyContextConfig, FastifyInstance, FastifyReply, FastifyRequest } from "fastify"
import { unavailable } from "../core/errors.ts"
import { type InFlight, showInFlight } from "../core/in-flight.ts"
import { currentScope, runIn, type Scope } from "../core/scope.ts"
import { replaceGetter } from "./request-class.ts"

/** How many requests there are now, and were. */
export interface RequestCounts {
  inFlight: number
  answered: number
}

declare module "fastify" {
  interface FastifyInstance {
    requests: RequestCounts
  }
  interface FastifyRequest {
    /** The request as work that can be called off. */
    work: Work
  }
  interface FastifyContextConfig {
    /** See `timeout` on the route. */
    timeoutMs?: number
  }
}

/** How often requests are looked at, in milliseconds: one timer for all, since one for each costs more than they do. */
const lookEveryMs = 250

/** Called once for each request, when its answer was sent or can no longer be. */
export type EndListener = (request: FastifyRequest, reply: FastifyReply) => void

/** One request in flight. */
class Work implements Scope {
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  /** The `config` of its route. Fastify makes `routeOptions` anew each time that it is asked. */
  readonly config: FastifyContextConfig
  /** As `performance.now()` has it. */
  readonly began = performance.now()
  readonly deadline: number
  abortReason: Error | undefined
  private listeners: Set<(reason: Error) => void> | undefined
  private controller: AbortController | undefined

  constructor(request: FastifyRequest, reply: FastifyReply, timeoutMs: number) {
    this.request = request
    this.reply = reply
    this.config = request.routeOptions.config
    this.deadline = this.began + (this.config.timeoutMs ?? timeoutMs)
  }

  onAbort(listener: (reason: Error) => void): void {
    this.listeners ??= new Set()
    this.listeners.add(listener)
  }

  offAbort(listener: (reason: Error) => void): void {
    this.listeners?.delete(listener)
  }

  /** Made only when a handler asks for it. */
  get signal(): AbortSignal {
    if (!this.controller) {
      this.controller = new AbortController()
      if (this.abortReason) this.controller.abort(this.abortReason)
    }
    return this.controller.signal
  }

  callOff(reason: Error): void {
    if (this.abortReason) return
    this.abortReason = reason
    this.controller?.abort(reason)
    for (const listener of this.listeners ?? []) listener(reason)
  }
}

/** Comes first of all plugins: what the others do for a request belongs to its work. */
export function watchRequests(
  api: FastifyInstance,
  { timeoutMs, process: name = "server" }: { timeoutMs: number; process?: string | undefined },
): { onEnd(listener: EndListener): void } {
  const inFlight = new Set<Work>()
  let answered = 0
  api.decorate("requests", { getter: () => ({ inFlight: inFlight.size, answered }) })
  showInFlight(() => {
    // First the one that the process works for at this moment, if it stands still.
    const current = currentScope()
    const all = [...inFlight]
    return [...all.filter((work) => work === current), ...all.filter((work) => work !== current)].map(shown)
  })
  const listeners: EndListener[] = []

  api.decorateRequest("work", null as unknown as Work)
  // Fastify's own follows the request's stream, which closes as soon as a body was read: with a body it aborts at once (seen
  // with 5.12). Ours follows the reply.
  replaceGetter(api, "signal", function () {
    return this.work.signal
  })

  api.addHook("onRequest", (request, reply, done) => {
    const work = new Work(request, reply, timeoutMs)
    request.work = work
    inFlight.add(work)
    // One listener for all who want to know: each costs as much as a line of the log.
    reply.raw.on("close", () => {
      inFlight.delete(work)
      answered++
      // The handler may come to an end later, and Fastify would tell it that it has answered twice.
      if (work.abortReason) reply.send = () => reply
      for (const listener of listeners) listener(request, reply)
      // What changes data runs to its end: the client cannot know how far it came.
      if (!reply.raw.writableFinished && (request.method === "GET" || request.method === "HEAD")) {
        work.callOff(new Error("The client hung up."))
      }
    })
    runIn(work, done)
  })

  const timer = setInterval(() => {
    const now = performance.now()
    for (const work of inFlight) {
      if (now < work.deadline || work.abortReason) continue
      endOverdue(work, name)
    }
  }, lookEveryMs)
  timer.unref()
  api.addHook("onClose", async () => clearInterval(timer))
  return { onEnd: (listener) => void listeners.push(listener) }
}

function endOverdue(work: Work, processName: string): void {
  const { request, reply } = work
  const timedOut = unavailable("The request took too long and was stopped. Try again later.")
  work.callOff(timedOut)
  if (!reply.sent) reply.send(timedOut)
  // A reply that is half sent can only be broken off, which tells the client that it is not whole.
  else if (!reply.raw.writableEnded) reply.raw.destroy()
  const { method, route, user, ms, id } = shown(work)
  const whose = user === null ? "a visitor" : `user ${user}`
  request.log.error(
    `HARAKIRI in ${processName} (pid ${process.pid}): ${method} ${route} of ${whose} took too long and was stopped after ` +
      `${(ms / 1000).toFixed(1)} s (${id})`,
  )
}

/** A request as the log shows it. */
function shown({ request, began }: Work): InFlight {
  return {
    id: request.id,
    method: request.method,
    route: request.routeOptions.url ?? "-",
    user: request.caller?.id ?? null,
    ms: Math.round(performance.now() - began),
  }
}
