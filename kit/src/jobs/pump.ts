/**
 * Runs the jobs of one name, so many at once: whenever half of the places are free they are filled again. Each job has a place
 * and an end of its own, so that one which is slow, fails or is over its time holds up no other.
 */
import type { PgBoss } from "pg-boss"
import { type Db, isUnreachable } from "../db/database.ts"
import { Attempt, type AttemptOptions, runAttempt } from "./attempt.ts"
import { type AnyJob, highestPriority } from "./job.ts"
import { giveBack } from "./rescue.ts"
import type { Settling } from "./settle.ts"
import { take } from "./take.ts"

/** What all that runs jobs in a process shares. */
export interface RunnerOptions extends AttemptOptions {
  boss: PgBoss
  /** For what is kept of jobs; handlers have another one. */
  db: Db
  settling: Settling
}

export class Pump {
  readonly job: AnyJob
  /** Settles with the end of each. */
  readonly running = new Map<Attempt, Promise<void>>()
  /** How many have ended here. */
  ended = 0
  private readonly options: RunnerOptions
  private filling: Promise<void> | undefined
  private isAskedAgain = false
  private isStopped = false

  constructor(job: AnyJob, options: RunnerOptions) {
    this.job = job
    this.options = options
  }

  /** Takes what is due, as far as there is room. */
  fill(): void {
    this.isAskedAgain = true
    this.filling ??= this.takeAll()
      .catch((error) => {
        if (!isUnreachable(error))
          this.options.log.error({ err: error }, `The jobs "${this.job.name}" cannot be fetched.`)
      })
      .finally(() => {
        this.filling = undefined
      })
  }

  /** Takes no more, and settles when nothing is being taken. */
  async stop(): Promise<void> {
    this.isStopped = true
    await this.filling
  }

  private async takeAll(): Promise<void> {
    while (this.isAskedAgain && !this.isStopped) {
      this.isAskedAgain = false
      // Those that end in the same turn of the event loop leave their places together.
      await Promise.resolve()
      const room = this.job.concurrency - this.running.size
      if (room <= 0) return
      const wanted = { batchSize: room, maxPriority: highestPriority }
      const { taken, count } = await take(this.options, this.job.name, wanted)
      if (this.isStopped) return giveBack(this.options.db, taken)
      for (const one of taken) this.run(new Attempt(this.job, one, this.options))
      if (count === room) this.isAskedAgain = true
    }
  }

  private run(attempt: Attempt): void {
    // Before it begins: one that stands still at once is to be found here.
    const { promise, resolve } = Promise.withResolvers<void>()
    this.running.set(attempt, promise)
    void runAttempt(attempt, this.options.settling).then(() => {
      this.running.delete(attempt)
      this.ended++
      if (this.running.size <= this.job.concurrency / 2) this.fill()
      resolve()
    })
  }
}
