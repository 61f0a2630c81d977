/** A process's part of limits that hold over all processes of a machine: what it has of them, and its talk with the supervisor. */
import {
  type LimitAnswer,
  type LimitChannel,
  type LimitQuestion,
  monotonicNow,
  restAfter,
} from "../core/limit-messages.ts"
import type { Log } from "../core/log.ts"
import type { Rate } from "../core/rate.ts"
import { SharedWindowCounter, type Talk } from "./shared-window-counter.ts"

/** How often a supervisor that is silent is asked whether it is back. */
const probeEveryMs = 1000

/** A message that has few questions is not followed by another one sooner: it costs the supervisor several times what they do. */
const leastRestMs = 5

export class SharedLimits implements Talk {
  /** The process has the share of one of so many; none with 0. */
  processes = 0
  /** Whether the supervisor is gone or silent: each process then has the whole limit, since refusing everybody is worse. */
  isAlone = false
  heardAt = Number.NEGATIVE_INFINITY
  /** When window 0 began, on the clock of `performance.now()`. */
  readonly windowsFrom: number
  private readonly channel: LimitChannel
  private readonly maxClients: number
  private readonly log: Log
  private readonly counters = new Map<string, SharedWindowCounter>()
  private isLost = false
  private nextProbe = 0
  private lastId = 0
  private outbox: LimitQuestion[] = []
  private maySendAt = 0

  constructor(channel: LimitChannel, { maxClients, log }: { maxClients: number; log: Log }) {
    this.channel = channel
    this.maxClients = maxClients
    this.log = log
    this.windowsFrom = channel.windowsFrom - monotonicNow() + performance.now()
    channel.onAnswer((answer) => this.heard(answer))
    channel.onLost(() => {
      this.isLost = true
      this.goAlone("ended")
    })
  }

  /** Makes the counter of a limit; whoever asks with the same name and rate gets the same one. */
  counter(name: string, rate: Rate): SharedWindowCounter {
    const id = `${name} ${rate.limit}/${rate.windowMs}`
    let counter = this.counters.get(id)
    if (!counter) {
      counter = new SharedWindowCounter(id, rate, { limits: this, maxClients: this.maxClients })
      this.counters.set(id, counter)
      this.ask({ about: "limit", limit: id, max: rate.limit, windowMs: rate.windowMs })
    }
    return counter
  }

  /** Sends it, with all else that is asked at about the same time. */
  ask(question: LimitQuestion): void {
    if (this.outbox.push(question) > 1) return
    const waitMs = this.maySendAt - performance.now()
    if (waitMs <= 0) setImmediate(() => this.send())
    else setTimeout(() => this.send(), waitMs)
  }

  newId(): number {
    return ++this.lastId
  }

  /** Nobody waits any longer: all are admitted by what this process knows. */
  goAlone(why: "ended" | "does not answer"): void {
    if (this.isAlone) return
    this.isAlone = true
    this.log.warn(`The supervisor ${why}: until it answers, this process counts by itself who asks too much.`)
    for (const counter of this.counters.values()) counter.release(performance.now())
  }

  /** Whether to ask a supervisor that is silent. */
  mayProbe(now: number): boolean {
    if (this.isLost || now < this.nextProbe) return false
    this.nextProbe = now + probeEveryMs
    return true
  }

  /** Says what is left of the current windows, and keeps none of it: for a process that has answered its last request. */
  async giveBack(): Promise<void> {
    this.processes = 0
    const now = performance.now()
    this.ask({ about: "unused", unused: [...this.counters.values()].map((counter) => counter.giveBack(now)) })
    await this.send()
  }

  private send(): void | Promise<void> {
    const questions = this.outbox
    this.outbox = []
    if (this.isLost || questions.length === 0) return
    // The others ask as much.
    const restMs = restAfter(questions.length * Math.max(this.processes, 1), leastRestMs)
    this.maySendAt = performance.now() + restMs
    return this.channel.ask(questions.length === 1 ? questions[0]! : { about: "several", questions })
  }

  private heard(answer: LimitAnswer): void {
    if (this.isAlone && !this.isLost) {
      this.isAlone = false
      this.log.info("The supervisor answers again.")
    }
    this.heardAt = performance.now()
    this.take(answer, this.heardAt)
  }

  private take(answer: LimitAnswer, now: number): void {
    if (answer.about === "several") for (const one of answer.answers) this.take(one, now)
    else if (answer.about !== "share") this.counters.get(answer.limit)?.take(answer, now)
    else {
      // What has begun keeps the share that it began with.
      for (const counter of this.counters.values()) counter.roll(now)
      this.processes = answer.processes
      this.ask({ about: "share", processes: answer.processes, from: now - performance.now() + monotonicNow() })
    }
  }
}
