/** Background jobs: the tables of pg-boss, and what it does not keep. */
import { type Kysely, sql } from "kysely"
import { bringJobTables, dropJobTables } from "../job-tables.ts"

export async function up(db: Kysely<unknown>): Promise<void> {
  await bringJobTables(db)
  // The few that run, among all that wait or have ended: whoever looks for those whose process is gone asks every second.
  await sql`create index job_running on trestle_jobs.job_common (name) where state = 'active'`.execute(db)

  await sql`
    create table trestle.job_progress (
      job_id   uuid primary key,
      progress real not null check (progress between 0 and 1),
      note     text,
      reported timestamptz not null
    )`.execute(db)
  await sql`
    create table trestle.unique_jobs (
      name   text not null,
      key    text not null,
      job_id uuid not null,
      -- until when nothing else is sent under the key
      until  timestamptz not null,
      primary key (name, key)
    )`.execute(db)
  // One row: since when the database has been asked all the time, and when it was last, by whichever process.
  await sql`create table trestle.job_watch (since timestamptz not null, seen timestamptz not null)`.execute(db)
  await sql`insert into trestle.job_watch values (now(), now())`.execute(db)
  await sql`create index unique_jobs_until on trestle.unique_jobs (until)`.execute(db)
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`drop table trestle.job_progress, trestle.unique_jobs, trestle.job_watch`.execute(db)
  await dropJobTables(db)
}
