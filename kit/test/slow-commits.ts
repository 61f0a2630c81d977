/** Commits that wait until a test lets them go. */
import { type Db, sql } from "trestle"

/** Lets commits that inserted into the table `slow` wait for the advisory lock 1. */
export async function makeCommitsWait(db: Db): Promise<void> {
  await sql`create table slow (i int)`.execute(db)
  await sql`
    create function linger() returns trigger language plpgsql as $$
    begin perform pg_advisory_xact_lock_shared(1); return null; end $$`.execute(db)
  await sql`
    create constraint trigger linger after insert on slow deferrable initially deferred
    for each row execute function linger()`.execute(db)
}

/** Whether one does. */
export async function commitWaits(db: Db): Promise<boolean> {
  const { rows } = await sql`
    select from pg_stat_activity
    where datname = current_database() and query = 'commit' and wait_event = 'advisory'`.execute(db)
  return rows.length > 0
}
