/** Counts what clients do in windows of time, over all processes of a machine: see core/limit-messages.ts. */
import { Busiest } from "../core/busiest.ts"
import { type LimitAnswer, type LimitQuestion, shareOf, type Unused } from "../core/limit-messages.ts"
import type { Rate } from "../core/rate.ts"
import { Patience } from "./patience.ts"
import { type Counter, copyOf, type Used } from "./window-counter.ts"

/**
 * After so many looks at a question, half a second at least, it is asked again: longer than an answer takes while all speak seldom.
 * After so many, three quarters of a second at least, the supervisor is taken for silent, unless it spoke to this process in the
 * last half second.
 */
const looks = { again: 3, silent: 4 }
const silentMs = 500

/** The talk with the supervisor, which all counters of a process share. */
export interface Talk {
  /** When window 0 began, on the clock of `performance.now()`. */
  readonly windowsFrom: number
  /** The process has the share of one of so many; none with 0. */
  readonly processes: number
  /** Whether the supervisor is gone or silent. */
  readonly isAlone: boolean
  /** When the supervisor was heard last, on the clock of `performance.now()`. */
  readonly heardAt: number
  ask(question: LimitQuestion): void
  newId(): number
  goAlone(why: "does not answer"): void
  /** Whether to ask a supervisor that is silent. */
  mayProbe(now: number): boolean
}

/** What this process knows of a client. */
interface Client {
  /** How many it has admitted in the window. */
  used: number
  /** How many it may admit without asking. */
  allowed: number
  /** How many others have admitted, as far as was told. */
  others: number
  beyond: Beyond | undefined
}

/** A client that has used what this process had at first. */
interface Beyond {
  client: string
  /** Nobody has any left. */
  isDenied: boolean
  /** On its way. */
  question: Extract<LimitQuestion, { about: "more" }> | undefined
  /** Requests, in the order in which they came. */
  waiting: ((used: Used | Promise<Used>) => void)[]
}

type Answer = Extract<LimitAnswer, { client: string }>

/** What `count` returns is what this process knows: of others it learns when it asks for more. */
export class SharedWindowCounter implements Counter {
  endsAt = Number.NEGATIVE_INFINITY
  private readonly id: string
  private readonly rate: Rate
  private readonly limits: Talk
  /** Those who asked for more are forgotten last: of them the supervisor believes what it was told. */
  private readonly clients: Busiest<Client>
  private readonly asked = new Patience<Client>((known, times) => this.look(known, times))
  private window = -1
  /** What this process may admit of each client in the window without asking. */
  private share = 0

  constructor(id: string, rate: Rate, { limits, maxClients }: { limits: Talk; maxClients: number }) {
    this.id = id
    this.rate = rate
    this.limits = limits
    this.clients = new Busiest(maxClients, ({ used, beyond }) => (beyond ? Number.MAX_VALUE : used))
    this.roll(performance.now())
    // In a window that had begun before, a process that has ended may have had a share.
    this.share = 0
  }

  /** How many clients are counted. */
  get size(): number {
    return this.clients.size
  }

  count(client: string, now: number): number | Promise<Used> {
    if (now >= this.endsAt) this.roll(now)
    const known = this.clients.get(client) ?? this.add(client, this.share)
    if (known.used < known.allowed) return known.others + ++known.used
    if (known.beyond?.isDenied) return Number.POSITIVE_INFINITY
    if (this.limits.isAlone) return this.countAlone(client, known, now)
    return new Promise((resolve) => {
      const beyond = beyondOf(client, known)
      beyond.waiting.push(resolve)
      if (beyond.question) beyond.question.waiting++
      else this.ask(known, beyond)
    })
  }

  /** Opens the window of this moment. Who still waits in the one before is counted in it. */
  roll(now: number): void {
    if (now < this.endsAt) return
    const window = Math.floor((now - this.limits.windowsFrom) / this.rate.windowMs)
    this.open(Math.max(window, this.window + 1), now)
  }

  take(answer: Answer, now: number): void {
    this.roll(now)
    if (answer.window > this.window) this.open(answer.window, now)
    const isPast = answer.window < this.window
    if (answer.about === "recall") {
      const { limit, window, client } = answer
      // Of a window that has ended nothing is left.
      const used = isPast ? this.rate.limit : this.close(client)
      this.limits.ask({ about: "returned", limit, window, client, used })
    } else if (isPast) return
    else if (answer.about === "denied") this.deny(answer.client)
    else this.grant(answer)
  }

  /** Answers those who wait by what this process alone has counted. */
  release(now: number): void {
    for (const known of this.asked.take()) {
      const beyond = known.beyond!
      beyond.question = undefined
      for (const resolve of beyond.waiting.splice(0)) {
        resolve({ count: this.countAlone(beyond.client, known, now), endsAt: this.endsAt })
      }
    }
  }

  /** What was used in the window. The rest is no longer this process's. */
  giveBack(now: number): Unused {
    this.roll(now)
    this.share = 0
    const used: Record<string, number> = {}
    for (const [client, known] of this.clients) {
      known.allowed = known.used
      if (known.used > 0) used[client] = known.used
    }
    return { limit: this.id, window: this.window, used }
  }

  private open(window: number, now: number): void {
    const waiting = this.asked.take()
    this.clients.clear()
    this.window = window
    this.endsAt = this.limits.windowsFrom + (window + 1) * this.rate.windowMs
    this.share = shareOf(this.rate.limit, this.limits.processes)
    for (const { beyond } of waiting) {
      for (const resolve of beyond!.waiting) {
        const count = this.count(beyond!.client, now)
        resolve(typeof count === "number" ? { count, endsAt: this.endsAt } : count)
      }
    }
  }

  private add(client: string, allowed: number): Client {
    const known: Client = { used: 0, allowed, others: 0, beyond: undefined }
    this.clients.add(copyOf(client), known)
    return known
  }

  private countAlone(client: string, known: Client, now: number): number {
    if (known.used >= this.rate.limit) return Number.POSITIVE_INFINITY
    if (this.limits.mayProbe(now)) this.ask(known, beyondOf(client, known))
    return Math.min(known.others + ++known.used, this.rate.limit)
  }

  private ask(known: Client, beyond: Beyond): void {
    if (beyond.question) return
    const { client, waiting } = beyond
    const place = { limit: this.id, window: this.window, client }
    const id = this.limits.newId()
    beyond.question = { about: "more", ...place, used: known.used, waiting: waiting.length, id }
    this.asked.add(known)
    this.limits.ask(beyond.question)
  }

  private grant({ client, upTo, others, id }: Extract<Answer, { about: "granted" }>): void {
    const known = this.clients.get(client)
    if (!known) return
    known.allowed = upTo
    known.others = Math.max(known.others, others)
    const beyond = beyondOf(client, known)
    beyond.isDenied = false
    if (beyond.question?.id === id) this.answered(known)
    for (const resolve of beyond.waiting.splice(0, known.allowed - known.used)) {
      resolve({ count: known.others + ++known.used, endsAt: this.endsAt })
    }
    if (beyond.waiting.length > 0) this.ask(known, beyond)
  }

  private deny(client: string): void {
    const known = this.clients.get(client) ?? this.add(client, 0)
    beyondOf(client, known).isDenied = true
    this.refuse(known)
  }

  private refuse(known: Client): void {
    this.answered(known)
    for (const resolve of known.beyond!.waiting.splice(0)) {
      resolve({ count: Number.POSITIVE_INFINITY, endsAt: this.endsAt })
    }
  }

  private answered(known: Client): void {
    known.beyond!.question = undefined
    this.asked.delete(known)
  }

  /** Returns how many were admitted, and admits no more without asking. */
  private close(client: string): number {
    const known = this.clients.get(client) ?? this.add(client, 0)
    beyondOf(client, known)
    known.allowed = known.used
    return known.used
  }

  private look(known: Client, times: number): void {
    const { client, question } = known.beyond!
    // Forgotten meanwhile, so that no answer finds it. It had used what this process has.
    if (this.clients.get(client) !== known) this.refuse(known)
    else if (times >= looks.silent && performance.now() - this.limits.heardAt >= silentMs) {
      this.limits.goAlone("does not answer")
      this.release(performance.now())
    } else if (times % looks.again === 0) this.limits.ask(question!)
  }
}

function beyondOf(client: string, known: Client): Beyond {
  // A copy: see `copyOf`.
  known.beyond ??= { client: copyOf(client), isDenied: false, question: undefined, waiting: [] }
  return known.beyond
}
