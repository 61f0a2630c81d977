/** Sign-ins with other providers that were begun and not yet finished. */
import { type Kysely, sql } from "kysely"

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table trestle.sign_ins (
      -- SHA-256 of what the browser's cookie and the address of its way back hold; neither is kept
      hash     bytea primary key check (length(hash) = 32),
      provider text not null,
      -- the path to go to afterwards
      next     text not null,
      -- who was logged in already
      user_id  uuid references trestle.users on delete cascade,
      expires  timestamptz not null
    )`.execute(db)
  await sql`create index sign_ins_expires on trestle.sign_ins (expires)`.execute(db)
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`drop table trestle.sign_ins`.execute(db)
}
