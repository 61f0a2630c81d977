/** Tells pg-boss when crons come. It sends them; of all processes one does. */
import { sql } from "kysely"
import type { PgBoss } from "pg-boss"
import type { Db } from "../db/database.ts"
import type { AnyJob } from "./job.ts"

/** Brings what is scheduled in line with the application: what it no longer has comes no more. */
export async function scheduleCrons(boss: PgBoss, jobs: readonly AnyJob[]): Promise<void> {
  const crons = new Map(jobs.flatMap((job) => (job.schedule ? [[job.name, job] as const] : [])))
  for (const { name } of await boss.getSchedules()) {
    if (!crons.has(name)) await boss.unschedule(name)
  }
  for (const { name, schedule, priority } of crons.values()) {
    const { expression, timeZone, catchUp } = schedule!
    await boss.schedule(name, expression, {}, { tz: timeZone, missed: catchUp ? "once" : "skip", priority })
  }
}

/** What pg-boss calls the jobs by which it sends what a cron says: one for each tick, over all processes. */
const ticks = "__pgboss__send-it"

/** Has ticks sent whose process ended while it did so. pg-boss itself would do that after a quarter of an hour. */
export async function rescueTicks(db: Db, { afterMs }: { afterMs: number }): Promise<void> {
  await sql`
    update trestle_jobs.job set state = 'retry', start_after = now()
    where name = ${ticks} and state = 'active' and heartbeat_on < now() - ${afterMs} * interval '1 ms'
      and retry_count < retry_limit`.execute(db)
}
