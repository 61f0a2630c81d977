/** Runs those jobs one by one that were running when their process ended: see rescue.ts. */
import { isUnreachable } from "../db/database.ts"
import { Attempt, runAttempt } from "./attempt.ts"
import { type AnyJob, highestPriority } from "./job.ts"
import type { RunnerOptions } from "./pump.ts"

export class Alone {
  /** One at most. */
  readonly running = new Map<Attempt, Promise<void>>()
  ended = 0
  private readonly jobs: readonly AnyJob[]
  private readonly options: RunnerOptions
  private isRunning = false
  private isStopped = false

  constructor(jobs: readonly AnyJob[], options: RunnerOptions) {
    this.jobs = jobs
    this.options = options
  }

  /** Runs what there is of these names. */
  run(names: readonly string[]): void {
    if (this.isRunning || this.isStopped) return
    this.isRunning = true
    this.oneByOne(names)
      .catch((error) => {
        if (!isUnreachable(error)) this.options.log.error({ err: error }, "Jobs that run alone cannot be fetched.")
      })
      .finally(() => {
        this.isRunning = false
      })
  }

  /** Takes no more. */
  stop(): void {
    this.isStopped = true
  }

  private async oneByOne(names: readonly string[]): Promise<void> {
    const { boss, settling } = this.options
    const wanted = { includeMetadata: true, minPriority: highestPriority + 1 } as const
    for (const job of this.jobs.filter(({ name }) => names.includes(name))) {
      while (!this.isStopped) {
        const [fetched] = await boss.fetch<Record<string, unknown>>(job.name, wanted)
        if (!fetched) break
        const attempt = new Attempt(job, fetched, this.options)
        const ended = runAttempt(attempt, settling)
        this.running.set(attempt, ended)
        await ended
        this.running.delete(attempt)
        this.ended++
      }
    }
  }
}
