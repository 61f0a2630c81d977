/**
 * Limits how much one client may ask: an IPv4 address, or the /64 network of an IPv6 one, since a customer gets at least that
 * much. Everything counts, 404s and failed logins too, before anybody looks at who is calling. A route with a limit of its own
 * counts by itself.
 *
 * Limits hold over all processes of a machine, through their supervisor, and over machines where there is a Redis. A single
 * process, as in tests, counts by itself.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from "fastify"
import type { Redis } from "ioredis"
import type { Config } from "../core/config/index.ts"
import { BootError, HttpError } from "../core/errors.ts"
import type { LimitChannel } from "../core/limit-messages.ts"
import type { Log } from "../core/log.ts"
import { clientNetwork } from "../core/networks.ts"
import { parseRate, type Rate, rateExpected } from "../core/rate.ts"
import { isAmbiguous } from "./client-address.ts"
import { RedisLimits } from "./redis-limits.ts"
import { headersOf } from "./reply-headers.ts"
import type {} from "./requests.ts"
import { SharedLimits } from "./shared-limits.ts"
import type {} from "./static/static-files.ts"
import { type Counter, WindowCounter } from "./window-counter.ts"

declare module "fastify" {
  interface FastifyContextConfig {
    /** See `rateLimit` on the route. */
    limit?: Limit | false
  }
}

const uncounted = Symbol("uncounted")
type Countable = FastifyRequest & { [uncounted]?: boolean }
type Done = (error?: Error) => void

export interface RateLimitOptions {
  /** Reaches the supervisor of this process. */
  limits?: LimitChannel | undefined
  /** Where requests are counted, instead of by the processes of this machine. */
  redis?: { client: Redis; prefix: string } | undefined
  log: Log
}

export function rateLimits(api: FastifyInstance, settings: Config["rate_limit"], options: RateLimitOptions): void {
  const counterOf = counters(api, settings, options)
  const general = new Limit("default", settings.limit, counterOf)
  const own = new Map<string, Limit>()

  api.addHook("onRoute", (route) => {
    const { rateLimit } = route as RouteOptions & { rateLimit?: string | false }
    if (rateLimit === undefined) return
    const name = nameOf(route)
    const key = `${name} ${rateLimit}`
    if (rateLimit && !own.has(key)) own.set(key, new Limit(name, readRate(rateLimit, name), counterOf))
    route.config = { ...route.config, limit: own.get(key) ?? false }
  })

  if (!settings.enabled) return
  api.addHook("onRequest", (request: Countable, reply, done) => {
    const { limit = general, isStatic } = request.work.config
    if (isStatic && !settings.static_files) request[uncounted] = true
    else if (limit) return limit.count(request, reply, done)
    done()
  })
  if (settings.static_files) return
  // The route of static files takes every path. Where there is no file the request goes on as one for nothing, and counts.
  api.addHook("preHandler", (request: Countable, reply, done) => {
    if (!request[uncounted] || request.routeOptions.config.isStatic) done()
    else general.count(request, reply, done)
  })
}

type CounterOf = (name: string, rate: Rate) => Counter

/** Chooses who counts. */
function counters(
  api: FastifyInstance,
  { enabled, max_clients: maxClients }: Config["rate_limit"],
  { limits, redis, log: serverLog }: RateLimitOptions,
): CounterOf {
  const log = serverLog.for("limits")
  let counterOf: CounterOf = (_name, { windowMs }) => new WindowCounter(windowMs, maxClients)
  if (limits && enabled) {
    const shared = new SharedLimits(limits, { maxClients, log })
    // It comes after the last answer.
    api.addHook("onClose", () => shared.giveBack())
    counterOf = (name, rate) => shared.counter(name, rate)
  }
  if (!redis || !enabled) return counterOf
  const counted = new RedisLimits(redis, { maxClients, log })
  const withoutRedis = counterOf
  return (name, rate) => counted.counter(name, rate, withoutRedis(name, rate))
}

/** A rate, who used how much of it, and what the headers say of it. */
class Limit {
  private readonly rate: Rate
  private readonly counter: Counter
  private readonly name: string
  private readonly limitText: string
  private readonly policy: string
  private windowEnd = 0
  private resetAt = ""
  private refusal: HttpError | undefined

  constructor(name: string, rate: Rate, counterOf: CounterOf) {
    this.rate = rate
    this.counter = counterOf(name, rate)
    this.name = `"${name}"`
    this.limitText = String(rate.limit)
    this.policy = `${this.name};q=${rate.limit};w=${Math.ceil(rate.windowMs / 1000)}`
  }

  /** Counts the request and lets it go on, at once unless others must be asked; or says that it is one too many. */
  count(request: FastifyRequest, reply: FastifyReply, done: Done): void {
    const now = request.work.began
    const used = this.counter.count(clientOf(request), now)
    if (typeof used === "number") done(this.answer(reply, now, used, this.counter.endsAt))
    else void used.then(({ count, endsAt }) => done(this.answer(reply, performance.now(), count, endsAt)))
  }

  /**
   * Says in the headers of the answer how the limit stands; returns the error if it is too many. What remains is what this
   * process knows: other processes of the machine may have admitted some since it last asked. It only goes down, and is 0 for
   * who is refused.
   */
  private answer(reply: FastifyReply, now: number, used: number, endsAt: number): HttpError | undefined {
    const { limit } = this.rate
    // Text at once: Node would make it of a number several times.
    const remaining = String(used < limit ? limit - used : 0)
    const seconds = Math.ceil((endsAt - now) / 1000)
    const headers = headersOf(reply)
    headers["x-ratelimit-limit"] = this.limitText
    headers["x-ratelimit-remaining"] = remaining
    headers["x-ratelimit-reset"] = this.reset(now, endsAt)
    // draft-ietf-httpapi-ratelimit-headers-10: what the limit is, what is left of it, and for how many seconds.
    headers["ratelimit-policy"] = this.policy
    headers.ratelimit = `${this.name};r=${remaining};t=${seconds}`
    if (used <= limit) return undefined
    // One error for all who are refused in the same second: a stack for each would double what a flood costs.
    if (this.refusal?.headers?.["retry-after"] !== String(seconds)) this.refusal = tooMany(seconds)
    return this.refusal
  }

  /** When the window ends, in seconds since 1970, as GitHub and most others have it. */
  private reset(now: number, endsAt: number): string {
    if (this.windowEnd !== endsAt) {
      this.windowEnd = endsAt
      this.resetAt = String(Math.ceil((Date.now() + endsAt - now) / 1000))
    }
    return this.resetAt
  }
}

function tooMany(seconds: number): HttpError {
  const detail = `Too many requests. Try again in ${seconds === 1 ? "1 second" : `${seconds} seconds`}.`
  return new HttpError(429, detail, { headers: { "retry-after": String(seconds) } })
}

/** The name of a route's limit, as in `GET /api/movies/:id`: the same for a GET and the HEAD that Fastify adds to it. */
function nameOf({ method, url }: RouteOptions): string {
  const methods = [method].flat().map((one) => (one === "HEAD" ? "GET" : one))
  // It stands in quotes in a header, where only ASCII may.
  return `${[...new Set(methods)].join("|")} ${encodeURI(url)}`
}

function readRate(text: string, name: string): Rate {
  try {
    return parseRate(text)
  } catch (cause) {
    const message = `The route ${name} has the rateLimit ${JSON.stringify(text)}. It must be ${rateExpected}, or false.`
    throw new BootError(message, { cause })
  }
}

/** Whom a request is counted for. */
function clientOf(request: FastifyRequest): string {
  const network = clientNetwork(request.ip)
  // What was sent through a proxy must not count for the proxy itself: its health checks would be refused, and it would
  // take the server for broken.
  return isAmbiguous(request) ? `behind ${network}` : network
}
