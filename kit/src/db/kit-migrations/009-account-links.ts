/** Links in mails that prove whose an address is: a new password, a verified address, another address. */
import { type Kysely, sql } from "kysely"

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table trestle.account_links (
      -- SHA-256 of the token in the link; the token itself is in the mail only
      hash    bytea primary key check (length(hash) = 32),
      user_id uuid not null references trestle.users on delete cascade,
      purpose text not null check (purpose in ('reset', 'verify', 'change')),
      -- where the mail went, which is what the link proves
      email   text not null,
      -- the job that sent it: one that is tried again after a kill may have sent a link already
      job_id  uuid not null,
      expires timestamptz not null
    )`.execute(db)
  await sql`create index account_links_user on trestle.account_links (user_id)`.execute(db)
  await sql`create index account_links_expires on trestle.account_links (expires)`.execute(db)
  // The address that is to take the place of the other one, once it is proven.
  await sql`alter table trestle.users add column new_email text`.execute(db)
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`alter table trestle.users drop column new_email`.execute(db)
  await sql`drop table trestle.account_links`.execute(db)
}
