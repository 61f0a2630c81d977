/**
 * Jobs whose process has gone: it no longer says that they run. They are tried again at once, but each alone in a process of its
 * own, because one of them may be what ended the first; so that one ends as a dead letter, and takes nobody with it.
 *
 * pg-boss could do this by its heartbeats. It would count what waits each time that it looks, which a long queue makes slow, and
 * it would not say which attempts were cut short.
 */
import { sql } from "kysely"
import type { PgBoss } from "pg-boss"
import type { Db } from "../db/database.ts"
import type { Fetched } from "./attempt.ts"
import { highestPriority } from "./job.ts"

/** How often a process says that its jobs run, in milliseconds. */
export const touchEveryMs = 2000

/** What was not said for so long is lost, in milliseconds: the process stood still, and was killed for it, or is gone. */
export const lostAfterMs = (blockTimeoutMs: number): number => Math.max(8000, blockTimeoutMs + touchEveryMs + 1000)

/** So much later than the database was asked nothing is rescued: the statement waited for a server that stood still. */
const freshMs = 2000

const lostError = { name: "ProcessLost", message: "The process that ran it ended, or was not heard of any more." }

/**
 * What runs alone has a priority above all that senders may give, the more so the less often it was tried: what ends its process
 * each time waits for all others.
 */
const step = 10_000
const tries = 100

/** The priority as it was sent. */
const plain = sql`mod(priority + ${highestPriority}, ${step}) - ${highestPriority}`

/** What has begun does not expire: it is tried as often as it should be. */
const kept = sql`greatest(keep_until, now() + interval '1 year')`

interface Lost {
  name: string
  id: string
  retryCount: number
}

/** What became of jobs whose process is gone. */
export interface Rescued {
  /** How many are tried again. */
  count: number
  /** Those whose last attempt it was. */
  dead: Lost[]
}

/** Gives back the jobs of processes that are gone. `asked`: when the database last answered, on its own clock. */
export async function rescueLost(
  { db, boss }: { db: Db; boss: PgBoss },
  names: readonly string[],
  { asked, afterMs }: { asked: number; afterMs: number },
): Promise<Rescued> {
  const { rows } = await sql<Lost & { hasMore: boolean }>`
    with lost as (
      select name, id from trestle_jobs.job
      where name = any(${names}) and state = 'active' and heartbeat_on < now() - ${afterMs} * interval '1 ms'
        and extract(epoch from now()) * 1000 < ${asked + freshMs}
      limit 1000 for update skip locked
    ), rescued as (
      update trestle_jobs.job job set
        state = 'retry', start_after = now(), heartbeat_on = null, output = ${JSON.stringify(lostError)}::jsonb,
        keep_until = ${kept}, priority = ${plain} + ${step} * (${tries} - least(retry_count, ${tries - 1}))
      from lost where job.name = lost.name and job.id = lost.id and retry_count < retry_limit
      returning job.name, job.id, retry_count as "retryCount", true as "hasMore"
    )
    select * from rescued
    union all
    select job.name, job.id, retry_count, false from trestle_jobs.job join lost using (name, id)
    where retry_count >= retry_limit`.execute(db)
  const dead = rows.filter(({ hasMore }) => !hasMore)
  for (const [name, jobs] of Map.groupBy(dead, ({ name }) => name)) await boss.fail(name, jobs, lostError)
  return { count: rows.length - dead.length, dead }
}

/** Of a job that ended by itself, though it failed: it need not be alone the next time; with `isLast` there is none. */
export async function keepForRetry(db: Db, { name, id, retryCount }: Fetched, isLast: boolean): Promise<void> {
  await sql`
    update trestle_jobs.job set
      priority = ${plain}, keep_until = ${kept},
      retry_limit = case when ${isLast} then retry_count else retry_limit end
    where name = ${name} and id = ${id} and state = 'active' and retry_count = ${retryCount}`.execute(db)
}

/** Gives back what has not ended when a process must: it is run soon, or after a time, and the attempt does not count. */
export async function giveBack(db: Db, fetched: readonly Fetched[], delayMs = 0): Promise<void> {
  const byName = Map.groupBy(fetched, ({ name }) => name)
  for (const [name, jobs] of byName) {
    const attempts = jobs.map(({ id, retryCount }) => `${id}:${retryCount}`)
    await sql`
      update trestle_jobs.job set
        state = case when retry_count > 0 then 'retry' else 'created' end::trestle_jobs.job_state,
        started_on = null, heartbeat_on = null, keep_until = ${kept},
        start_after = now() + ${delayMs} * interval '1 ms'
      where name = ${name} and state = 'active' and id = any(${jobs.map(({ id }) => id)}::uuid[])
        and id || ':' || retry_count = any(${attempts})`.execute(db)
  }
}
