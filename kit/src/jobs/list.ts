/** Jobs as commands list them. */
import { sql } from "kysely"
import type { Db } from "../db/database.ts"
import { deadLetters } from "./boss.ts"

/** How many jobs of a name are in which phase. */
export interface JobCounts {
  name: string
  waiting: number
  delayed: number
  running: number
  done: number
  dead: number
  cancelled: number
}

/** Counts all that the database still has; what ended long ago is gone. */
export async function countJobs(db: Db): Promise<JobCounts[]> {
  const { rows } = await sql<JobCounts>`
    select queue.name,
      count(*) filter (where state < 'active' and start_after <= now())::int as waiting,
      count(*) filter (where state < 'active' and start_after > now())::int as delayed,
      count(*) filter (where state = 'active')::int as running,
      count(*) filter (where state = 'completed')::int as done,
      (select count(*)::int from trestle_jobs.job dead where dead.name = ${deadLetters} and source_name = queue.name) as dead,
      count(*) filter (where state = 'cancelled')::int as cancelled
    from trestle_jobs.queue left join trestle_jobs.job on job.name = queue.name
    where queue.name <> ${deadLetters} and queue.name not like '\\_\\_%'
    group by queue.name order by queue.name`.execute(db)
  return rows
}

/** One job, in a line. */
export interface ListedJob {
  /** What `send` returned. */
  id: string
  name: string
  state: string
  /** ISO 8601. */
  created: string
  attempts: number
  error: string | null
}

/** The newest jobs of a name, `limit` of them. */
export async function newestJobs(db: Db, name: string, limit: number): Promise<ListedJob[]> {
  const { rows } = await sql<ListedJob>`
    select coalesce(source_root_id, id) as id, name, state::text, created_on as created,
      case when started_on is null then 0 else retry_count + 1 end as attempts,
      coalesce(output ->> 'message', output #>> '{value,message}') as error
    from trestle_jobs.job where name = ${name} order by created_on desc, id limit ${limit}`.execute(db)
  return rows
}

/** The newest dead letters, `limit` of them; of one name, or of all. */
export async function deadJobs(db: Db, name: string | undefined, limit: number): Promise<ListedJob[]> {
  const { rows } = await sql<ListedJob>`
    select coalesce(source_root_id, source_id) as id, source_name as name, 'dead' as state, created_on as created,
      source_retry_count + 1 as attempts,
      coalesce(source_output ->> 'message', source_output #>> '{value,message}') as error
    from trestle_jobs.job where name = ${deadLetters} and source_name = coalesce(${name ?? null}, source_name)
    order by created_on desc, id limit ${limit}`.execute(db)
  return rows
}
