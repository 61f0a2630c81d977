/** Attempts to log in, counted over all processes and restarts. */
import { type Kysely, sql } from "kysely"

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table trestle.login_limits (
      -- SHA-256 of what is counted: an e-mail address, and where the attempts came from
      key   bytea primary key check (length(key) = 32),
      count integer not null,
      -- when counting begins anew
      ends  timestamptz not null
    )`.execute(db)
  await sql`create index login_limits_ends on trestle.login_limits (ends)`.execute(db)
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`drop table trestle.login_limits`.execute(db)
}
