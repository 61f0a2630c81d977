/**
 * Limits how much one client may ask: an IPv4 address, or the /64 network of an IPv6 one, since a customer gets at least that
 * much. Everything counts, 404s and failed logins too, before anybody looks at who is calling. A route with a limit of its own
 * counts by itself.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from "fastify"
import type { Config } from "../core/config/index.ts"
import { BootError, HttpError } from "../core/errors.ts"
import { clientNetwork } from "../core/networks.ts"
import { parseRate, type Rate, rateExpected } from "../core/rate.ts"
import { isAmbiguous } from "./client-address.ts"
import { headersOf } from "./reply-headers.ts"
import type {} from "./requests.ts"
import type {} from "./static/static-files.ts"
import { WindowCounter } from "./window-counter.ts"

declare module "fastify" {
  interface FastifyContextConfig {
    /** See `rateLimit` on the route. */
    limit?: Limit | false
  }
}

const uncounted = Symbol("uncounted")
type Countable = FastifyRequest & { [uncounted]?: boolean }

export function rateLimits(api: FastifyInstance, settings: Config["rate_limit"]): void {
  const general = new Limit("default", settings.limit, settings.max_clients)
  const own = new Map<string, Limit>()

  api.addHook("onRoute", (route) => {
    const { rateLimit } = route as RouteOptions & { rateLimit?: string | false }
    if (rateLimit === undefined) return
    const name = nameOf(route)
    const key = `${name} ${rateLimit}`
    if (rateLimit && !own.has(key)) own.set(key, new Limit(name, readRate(rateLimit, name), settings.max_clients))
    route.config = { ...route.config, limit: own.get(key) ?? false }
  })

  if (!settings.enabled) return
  api.addHook("onRequest", (request: Countable, reply, done) => {
    const { limit = general, isStatic } = request.work.config
    if (!isStatic || settings.static_files) {
      done(limit ? limit.count(request, reply) : undefined)
      return
    }
    request[uncounted] = true
    done()
  })
  if (settings.static_files) return
  // The route of static files takes every path. Where there is no file the request goes on as one for nothing, and counts.
  api.addHook("preHandler", (request: Countable, reply, done) => {
    const isFound = !request[uncounted] || request.routeOptions.config.isStatic
    done(isFound ? undefined : general.count(request, reply))
  })
}

/** A rate, who used how much of it, and what the headers say of it. */
class Limit {
  private readonly rate: Rate
  private readonly counter: WindowCounter
  private readonly name: string
  private readonly limitText: string
  private readonly policy: string
  private windowEnd = 0
  private resetAt = ""
  private refusal: HttpError | undefined

  constructor(name: string, rate: Rate, maxClients: number) {
    this.rate = rate
    this.counter = new WindowCounter(rate.windowMs, maxClients)
    this.name = `"${name}"`
    this.limitText = String(rate.limit)
    this.policy = `${this.name};q=${rate.limit};w=${Math.ceil(rate.windowMs / 1000)}`
  }

  /** Counts the request and says so in the headers of its answer; returns the error if it is too many. */
  count(request: FastifyRequest, reply: FastifyReply): HttpError | undefined {
    const now = request.work.began
    const used = this.counter.count(clientOf(request), now)
    const { limit } = this.rate
    // Text at once: Node would make it of a number several times.
    const remaining = String(used < limit ? limit - used : 0)
    const seconds = Math.ceil((this.counter.endsAt - now) / 1000)
    const headers = headersOf(reply)
    headers["x-ratelimit-limit"] = this.limitText
    headers["x-ratelimit-remaining"] = remaining
    headers["x-ratelimit-reset"] = this.reset(now)
    // draft-ietf-httpapi-ratelimit-headers-10: what the limit is, what is left of it, and for how many seconds.
    headers["ratelimit-policy"] = this.policy
    headers.ratelimit = `${this.name};r=${remaining};t=${seconds}`
    if (used <= limit) return undefined
    // One error for all who are refused in the same second: a stack for each would double what a flood costs.
    if (this.refusal?.headers?.["retry-after"] !== String(seconds)) this.refusal = tooMany(seconds)
    return this.refusal
  }

  /** When the window ends, in seconds since 1970, as GitHub and most others have it. */
  private reset(now: number): string {
    if (this.windowEnd !== this.counter.endsAt) {
      this.windowEnd = this.counter.endsAt
      this.resetAt = String(Math.ceil((Date.now() + this.windowEnd - now) / 1000))
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
