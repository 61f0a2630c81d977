/** Tells pg-boss when crons come. It sends them; of all processes one does. */
import type { PgBoss } from "pg-boss"
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
