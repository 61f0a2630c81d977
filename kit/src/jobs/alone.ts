/** Runs those jobs one by one that were running when their process ended: see rescue.ts. */
import { isUnreachable } from "../db/database.ts"
import { Attempt, runAttempt } from "./attempt.ts"
import { firstSuspect } from "./due.ts"
import { type AnyJob, highestPriority } from "./job.ts"
import type { RunnerOptions } from "./pump.ts"
import { giveBack } from "./rescue.ts"
import { take } from "./take.ts"

export class Alone {
  /** One at most. */
  readonly running = new Map<Attempt, Promise<void>>()
  ended = 0
  private readonly jobs: ReadonlyMap<string, AnyJob>
  private readonly options: RunnerOptions
  private taking: Promise<unknown> = Promise.resolve()
  private isRunning = false
  private isStopped = false

  constructor(jobs: readonly AnyJob[], options: RunnerOptions) {
    this.jobs = new Map(jobs.map((job) => [job.name, job]))
    this.options = options
  }

  /** Runs what there is. */
  run(): void {
    if (this.isRunning || this.isStopped) return
    this.isRunning = true
    this.oneByOne()
      .catch((error) => {
        if (!isUnreachable(error)) this.options.log.error({ err: error }, "Jobs that run alone cannot be fetched.")
      })
      .finally(() => {
        this.isRunning = false
      })
  }

  /** Takes no more, and settles when nothing is being taken. */
  async stop(): Promise<void> {
    this.isStopped = true
    await this.taking.catch(() => {})
  }

  private async oneByOne(): Promise<void> {
    for (;;) {
      const taking = this.takeNext()
      this.taking = taking
      const attempt = await taking
      if (!attempt) return
      const { promise, resolve } = Promise.withResolvers<void>()
      this.running.set(attempt, promise)
      await runAttempt(attempt, this.options.settling)
      // Told before the next one begins, which may end this process: what is done already would be done again.
      await this.options.settling.settled()
      this.running.delete(attempt)
      this.ended++
      resolve()
    }
  }

  private async takeNext(): Promise<Attempt | undefined> {
    const { db } = this.options
    while (!this.isStopped) {
      const name = await firstSuspect(db, [...this.jobs.keys()])
      if (name === undefined) return undefined
      const { taken } = await take(this.options, name, { minPriority: highestPriority + 1 })
      if (this.isStopped) await giveBack(db, taken)
      else if (taken[0]) return new Attempt(this.jobs.get(name)!, taken[0], this.options)
    }
    return undefined
  }
}
