/** Says how attempts ended: those that are done in groups, since a statement for each would cost more than most jobs. */
import { setTimeout as pause } from "node:timers/promises"
import { sql } from "kysely"
import type { PgBoss } from "pg-boss"
import type { Log } from "../core/log.ts"
import { createMask } from "../core/mask.ts"
import { type Db, isUnreachable } from "../db/database.ts"
import type { Attempt, Outcomes } from "./attempt.ts"
import { highestPriority } from "./job.ts"
import { aloneRaise } from "./rescue.ts"

/** So long after the database did not answer it is told again, in milliseconds. */
const againAfterMs = 250

/** What of a stack is kept with a dead letter, in characters. */
const keptStack = 4000

export class Settling implements Outcomes {
  private readonly boss: PgBoss
  private readonly db: Db
  private readonly log: Log
  private readonly done = new Map<string, Attempt[]>()
  private telling: Promise<void> | undefined
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
    this.telling ??= this.tell().finally(() => {
      this.telling = undefined
    })
  }

  /** It failed, and is tried again after a while unless it was the last attempt. */
  async fail({ job, fetched, isLast }: Attempt, error: unknown): Promise<void> {
    await this.insist(async () => {
      await this.boss.fail(job.name, fetched, outputOf(error))
      // It ended as it should, so that it need not be alone the next time.
      if (fetched.priority > highestPriority && !isLast) {
        await sql`
          update trestle_jobs.job set priority = priority - ${aloneRaise}
          where name = ${job.name} and id = ${fetched.id} and priority > ${highestPriority}`.execute(this.db)
      }
    })
  }

  /** Waits until all is told; what cannot be in time is run again by another process. */
  async finish(limitMs: number): Promise<void> {
    const timer = setTimeout(() => this.givenUp.abort(), limitMs)
    while (this.telling) await this.telling
    clearTimeout(timer)
  }

  private async tell(): Promise<void> {
    // Those that are done in the same turn of the event loop go together.
    await Promise.resolve()
    while (this.done.size > 0) {
      for (const [name, attempts] of [...this.done]) {
        this.done.delete(name)
        await this.insist(() =>
          this.boss.complete(
            name,
            attempts.map(({ fetched }) => fetched),
          ),
        )
      }
    }
  }

  /** Until the database has heard it: what it does not know is run again. */
  private async insist(tell: () => Promise<unknown>): Promise<void> {
    const { signal } = this.givenUp
    while (!signal.aborted) {
      try {
        await tell()
        return
      } catch (error) {
        if (!isUnreachable(error)) {
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
  if (!(error instanceof Error)) return { name: "Error", message: masked(String(error)) }
  const { name, message, stack } = error
  return { name, message: masked(message), ...(stack && { stack: masked(stack).slice(0, keptStack) }) }
}
