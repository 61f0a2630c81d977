/** Runs jobs here and now, one after the other: for tests. */
import { Attempt, type Outcomes, runAttempt } from "./attempt.ts"
import type { AnyJob } from "./job.ts"
import type { RunnerOptions } from "./pump.ts"
import { take } from "./take.ts"

/** One attempt that was made. */
export interface Ran {
  name: string
  data: unknown
  /** Why it failed; undefined when it did not. */
  error: unknown
}

/**
 * Runs what is due, and what that sends, until there is nothing. `early`: also what is not due yet, because it was delayed or
 * is to be tried again.
 */
export async function runNow(jobs: readonly AnyJob[], options: RunnerOptions, early: boolean): Promise<Ran[]> {
  const ran: Ran[] = []
  for (let isAny = true; isAny; ) {
    isAny = false
    for (const job of jobs) {
      const { taken } = await take(options, job.name, { batchSize: 100, ignoreStartAfter: early })
      // They come in any order.
      taken.sort((a, b) => b.priority - a.priority || (String(a.createdOn) < String(b.createdOn) ? -1 : 1))
      for (const one of taken) {
        isAny = true
        let error: unknown
        const outcomes: Outcomes = {
          complete: (attempt) => options.settling.complete(attempt),
          fail(attempt, reason) {
            error = reason
            return options.settling.fail(attempt, reason)
          },
          postpone: (attempt, delayMs) => options.settling.postpone(attempt, delayMs),
        }
        await runAttempt(new Attempt(job, one, options), outcomes)
        ran.push({ name: job.name, data: one.data, error })
      }
    }
    await options.settling.settled()
  }
  return ran
}
