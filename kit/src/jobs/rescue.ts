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

/** By so much the priority of one that runs alone is raised, above all that senders may give; among themselves they keep their order. */
export const aloneRaise = 10_000

/** How often a process says that its jobs run, in milliseconds. */
export const touchEveryMs = 2000

/** What was not said for so long is lost, in milliseconds: the process stood still, and was killed for it, or is gone. */
export const lostAfterMs = (blockTimeoutMs: number): number => Math.max(8000, blockTimeoutMs + touchEveryMs + 1000)

const lostError = { name: "ProcessLost", message: "The process that ran it ended, or was not heard of any more." }

/** Gives back the jobs of processes that are gone; returns how many. */
export async function rescueLost(
  { db, boss }: { db: Db; boss: PgBoss },
  names: readonly string[],
  afterMs: number,
): Promise<number> {
  const { rows } = await sql<{ name: string; id: string; retry_count: number; has_more: boolean }>`
    with lost as (
      select name, id from trestle_jobs.job
      where name = any(${names}) and state = 'active' and heartbeat_on < now() - ${afterMs} * interval '1 ms'
      limit 1000 for update skip locked
    ), rescued as (
      update trestle_jobs.job job set
        state = 'retry', start_after = now(), heartbeat_on = null, output = ${JSON.stringify(lostError)}::jsonb,
        priority = case when priority > ${highestPriority} then priority else priority + ${aloneRaise} end
      from lost where job.name = lost.name and job.id = lost.id and retry_count < retry_limit
      returning job.name, job.id, retry_count, true as has_more
    )
    select * from rescued
    union all
    select job.name, job.id, retry_count, false from trestle_jobs.job join lost using (name, id)
    where retry_count >= retry_limit`.execute(db)
  for (const { name, id, retry_count, has_more } of rows) {
    if (!has_more) await boss.fail(name, { id, retryCount: retry_count }, lostError)
  }
  return rows.length
}

/** Gives back what has not ended when a process must: it is run soon, and the attempt does not count. */
export async function giveBack(db: Db, fetched: readonly Fetched[]): Promise<void> {
  const byName = Map.groupBy(fetched, ({ name }) => name)
  for (const [name, jobs] of byName) {
    const attempts = jobs.map(({ id, retryCount }) => `${id}:${retryCount}`)
    await sql`
      update trestle_jobs.job set
        state = case when retry_count > 0 then 'retry' else 'created' end::trestle_jobs.job_state,
        started_on = null, heartbeat_on = null, start_after = now()
      where name = ${name} and state = 'active' and id = any(${jobs.map(({ id }) => id)}::uuid[])
        and id || ':' || retry_count = any(${attempts})`.execute(db)
  }
}
