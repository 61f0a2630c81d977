/**
 * Whether the database has been there for a while, by its own clock and for all processes. After an outage, and when everything
 * stood still, all need time to say that their jobs run, before what was not said for long counts as lost.
 */
import { sql } from "kysely"
import type { Db } from "../db/database.ts"

export interface Steadiness {
  /** The moment, on the clock of the database, in milliseconds. */
  asked: number
  isSteady: boolean
}

/** To be asked every second or so. @param afterMs it must have been there for so long; half of that without a question is an outage */
export async function askSteadiness(db: Db, afterMs: number): Promise<Steadiness> {
  const { rows } = await sql<Steadiness>`
    update trestle.job_watch set
      since = case when seen < now() - ${afterMs / 2} * interval '1 ms' then now() else since end,
      seen = now()
    returning (extract(epoch from now()) * 1000)::float8 as asked,
      since < now() - ${afterMs} * interval '1 ms' as "isSteady"`.execute(db)
  return rows[0]!
}
