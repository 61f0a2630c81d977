/** Says how attempts ended: those that are done in groups, since a statement for each would cost more than most jobs. */
import { setTimeout as pause } from "node:timers/promises"
import type { PgBoss } from "pg-boss"
import type { Log } from "../core/log.ts"
import { createMask } from "../core/mask.ts"
import { type Db, isUnreachable } from "../db/database.ts"
import { type Attempt, isFinal, type Outcomes } from "./attempt.ts"
import { storable } from "./job-data.ts"
import { giveBack, keepForRetry } from "./rescue.ts"

/** So long after the database did not answer it is told again, in milliseconds. */
const againAfterMs = 250

/** So often it may refuse, because of a deadlock or a statement that took too long; what it does not know is run again. */
const refusalsAtMost = 5

/** What of a message and of a stack is kept with a dead letter, in characters. */
const kept = 4000

export class Settling implements Outcomes {
  private readonly boss: PgBoss
  private readonly db: Db
  private readonly log: Log
  private readonly done = new Map<string, Attempt[]>()
  /** By name: trouble with one job holds up no other. */
  private readonly telling = new Map<string, Promise<void>>()
  /** When nobody waits any more for a database that is away. */
  private readonly givenUp = new AbortController()

  constructor({ boss, db, log }: { boss: PgBoss; db: Db; log: Log }) {
    this.boss = boss
    this.db = db
    this.log = log
  }

  /** It is done; the database learns it with the others that are. */
  complete(attempt: Attempt): void {
    const { name } = attempt.job
    const waiting = this.done.get(name)
    if (waiting) waiting.push(attempt)
    else this.done.set(name, [attempt])
    if (this.telling.has(name)) return
    this.telling.set(
      name,
      this.tell(name).finally(() => this.telling.delete(name)),
    )
  }

  /** It failed, and is tried again after a while unless it was the last attempt, or every other one would fail too. */
  async fail({ job, fetched }: Attempt, error: unknown): Promise<void> {
    await this.insist(async () => {
      await keepForRetry(this.db, fetched, isFinal(error))
      await this.boss.fail(job.name, fetched, outputOf(error))
    })
  }

  /** It is run again later, as if it had not begun. */
  async postpone({ fetched }: Attempt, delayMs: number): Promise<void> {
    await this.insist(() => giveBack(this.db, [fetched], delayMs))
  }

  /** Waits until all is told. */
  async settled(): Promise<void> {
    while (this.telling.size > 0) await Promise.all(this.telling.values())
  }

  /** Waits until all is told; what cannot be in time is run again by another process. */
  async finish(limitMs: number): Promise<void> {
    const timer = setTimeout(() => this.givenUp.abort(), limitMs)
    await this.settled()
    clearTimeout(timer)
    this.givenUp.abort()
  }

  private async tell(name: string): Promise<void> {
    // Those that are done in the same turn of the event loop go together.
    await Promise.resolve()
    for (;;) {
      const attempts = this.done.get(name)
      if (!attempts) return
      this.done.delete(name)
      const fetched = attempts.map(({ fetched }) => fetched)
      await this.insist(() => this.boss.complete(name, fetched))
    }
  }

  /** Until the database has heard it: what it does not know is run again. */
  private async insist(tell: () => Promise<unknown>): Promise<void> {
    const { signal } = this.givenUp
    let refusals = 0
    while (!signal.aborted) {
      try {
        await tell()
        return
      } catch (error) {
        if (!isUnreachable(error) && ++refusals >= refusalsAtMost) {
          this.log.error({ err: error as Error }, "How a job ended could not be told, so it will be run again.")
          return
        }
        await pause(againAfterMs, undefined, { signal }).catch(() => {})
      }
    }
  }
}

const { text: masked } = createMask()

/** What is kept of an error with the job. */
function outputOf(error: unknown): { name: string; message: string; stack?: string } {
  const text = (of: string) => storable(masked(of.slice(0, 2 * kept)), kept)
  if (!(error instanceof Error)) return { name: "Error", message: text(String(error)) }
  const { name, message, stack } = error
  return { name: text(name), message: text(message), ...(stack && { stack: text(stack) }) }
}
