/** Limits over all machines: requests are counted in Redis, where a client's first one opens its window. */
import { createHash } from "node:crypto"
import type { Redis } from "ioredis"
import { Busiest } from "../core/busiest.ts"
import type { Log } from "../core/log.ts"
import type { Rate } from "../core/rate.ts"
import { Patience } from "./patience.ts"
import { type Counter, copyOf, type Used } from "./window-counter.ts"

/** Counts one; returns how many there are in the window, and how many milliseconds it has left. */
const lua = `
  local count = redis.call("incr", KEYS[1])
  local left = redis.call("pttl", KEYS[1])
  if left < 0 then
    left = tonumber(ARGV[1])
    redis.call("pexpire", KEYS[1], left)
  end
  return { count, left }`
const sha = createHash("sha1").update(lua).digest("hex")

/** How long Redis may take, in looks of 250 ms and in milliseconds. Longer, nobody would wait for a limit. */
const silentLooks = 4
const silentMs = 1000

/** How often a Redis that was away is tried. */
const probeEveryMs = 1000

export class RedisLimits {
  /** Whether Redis does not count. Then the counters without it do: better than refusing everybody, or nobody. */
  isAway = false
  private readonly client: Redis
  private readonly prefix: string
  private readonly maxClients: number
  private readonly log: Log
  private readonly counters = new Set<RedisCounter>()
  private nextProbe = 0

  constructor(
    { client, prefix }: { client: Redis; prefix: string },
    { maxClients, log }: { maxClients: number; log: Log },
  ) {
    this.client = client
    this.prefix = prefix
    this.maxClients = maxClients
    this.log = log
  }

  /** @param without counts while Redis does not */
  counter(name: string, rate: Rate, without: Counter): Counter {
    const place = `${this.prefix}limit:${name} ${rate.limit}/${rate.windowMs}:`
    const counter = new RedisCounter(place, rate, { limits: this, maxClients: this.maxClients, without })
    this.counters.add(counter)
    return counter
  }

  async increment(key: string, windowMs: number): Promise<[count: number, leftMs: number]> {
    try {
      return (await this.client.evalsha(sha, 1, key, windowMs)) as [number, number]
    } catch (error) {
      if (!(error as Error).message.startsWith("NOSCRIPT")) throw error
      return (await this.client.eval(lua, 1, key, windowMs)) as [number, number]
    }
  }

  failed(reason: string): void {
    if (this.isAway) return
    this.isAway = true
    this.log.warn(`Redis does not count requests (${reason}): until it does, rate limits hold for this machine alone.`)
    for (const counter of this.counters) counter.release()
  }

  /** Counts something that was counted without Redis already, to see whether that is still needed. */
  probe(key: string, windowMs: number, now: number): void {
    if (now < this.nextProbe) return
    this.nextProbe = now + probeEveryMs
    this.increment(key, windowMs).then(
      () => {
        // One that is slow would be left and come back for ever.
        if (!this.isAway || performance.now() - now >= silentMs) return
        this.isAway = false
        this.log.info("Redis counts requests again.")
      },
      () => {},
    )
  }
}

/** A request whose count in Redis is not known yet. */
interface Question {
  client: string
  now: number
  resolve(used: Used | Promise<Used>): void
}

class RedisCounter implements Counter {
  endsAt = 0
  private readonly place: string
  private readonly rate: Rate
  private readonly limits: RedisLimits
  private readonly without: Counter
  /** Until when clients are refused: whoever is over the limit costs Redis nothing. The oldest are forgotten. */
  private readonly refused: Busiest<number>
  private readonly asked = new Patience<Question>((_question, looks) => {
    if (looks < silentLooks) return
    this.limits.failed("it does not answer")
    this.release()
  })

  constructor(
    place: string,
    rate: Rate,
    { limits, maxClients, without }: { limits: RedisLimits; maxClients: number; without: Counter },
  ) {
    this.place = place
    this.rate = rate
    this.limits = limits
    this.without = without
    this.refused = new Busiest(maxClients, (endsAt) => endsAt)
  }

  count(client: string, now: number): number | Promise<Used> {
    const refusedUntil = this.refused.get(client)
    if (refusedUntil !== undefined && now < refusedUntil) {
      this.endsAt = refusedUntil
      return Number.POSITIVE_INFINITY
    }
    if (!this.limits.isAway) return new Promise((resolve) => this.ask({ client, now, resolve }))
    this.limits.probe(this.place + client, this.rate.windowMs, now)
    const count = this.without.count(client, now)
    this.endsAt = this.without.endsAt
    return count
  }

  /** Counts without Redis what still waits for it. */
  release(): void {
    for (const { client, now, resolve } of this.asked.take()) {
      const count = this.without.count(client, now)
      resolve(typeof count === "number" ? { count, endsAt: this.without.endsAt } : count)
    }
  }

  private ask(question: Question): void {
    this.asked.add(question)
    this.limits.increment(this.place + question.client, this.rate.windowMs).then(
      ([count, leftMs]) => {
        if (!this.asked.delete(question)) return
        const endsAt = performance.now() + leftMs
        if (count > this.rate.limit) this.refuse(question.client, endsAt)
        question.resolve({ count, endsAt })
      },
      (error: Error) => {
        this.limits.failed(error.message)
        this.release()
      },
    )
  }

  private refuse(client: string, endsAt: number): void {
    if (this.refused.get(client) === undefined) this.refused.add(copyOf(client), endsAt)
    else this.refused.set(client, endsAt)
  }
}
