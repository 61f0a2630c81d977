/** What waits in the database, asked of it once a second. */
import { sql } from "kysely"
import type { Db } from "../db/database.ts"
import { highestPriority } from "./job.ts"

export interface Due {
  /** The names of which there is something to be run. */
  ready: string[]
  /** Those of which there is something to be run alone, see rescue.ts. */
  suspects: string[]
}

export async function askDue(db: Db, names: readonly string[]): Promise<Due> {
  const withOne = (isMeant: ReturnType<typeof sql>) => sql`array(
    select asked.name from unnest(${names}::text[]) as asked (name) where exists (
      select from trestle_jobs.job where job.name = asked.name and state < 'active' and not blocked
        and start_after <= now() and ${isMeant}))`
  const { rows } = await sql<Due>`
    select ${withOne(sql`priority <= ${highestPriority}`)} as ready,
      ${withOne(sql`priority > ${highestPriority}`)} as suspects`.execute(db)
  return rows[0]!
}

/** The name of the job that is to be run alone before all others: of those that were tried least, the oldest. */
export async function firstSuspect(db: Db, names: readonly string[]): Promise<string | undefined> {
  const { rows } = await sql<{ name: string }>`
    select name from trestle_jobs.job
    where name = any(${names}) and state < 'active' and not blocked and start_after <= now()
      and priority > ${highestPriority}
    order by priority desc, created_on limit 1`.execute(db)
  return rows[0]?.name
}
