/** Outgoing webhooks: who wants to be told, and the secrets that sign what is sent. */
import { type Kysely, sql } from "kysely"

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table trestle.webhook_endpoints (
      id              uuid primary key default gen_random_uuid(),
      created         timestamptz not null default now(),
      url             text not null,
      -- whose it is, in the words of the application; null is nobody's
      owner           text,
      -- the types of events that it wants; null is all
      events          text[],
      description     text,
      -- since when it gets nothing, and why, where it was not switched off by hand
      disabled        timestamptz,
      disabled_reason text,
      -- how the last attempt ended: the status that the receiver answered, if it did, and what was wrong
      last_attempt    timestamptz,
      last_status     smallint,
      last_trouble    text,
      -- attempts that failed since the last success, and when the first of them was
      failures        integer not null default 0,
      failing_since   timestamptz
    )`.execute(db)
  await sql`create index webhook_endpoints_owner on trestle.webhook_endpoints (owner)`.execute(db)

  await sql`
    create table trestle.webhook_secrets (
      id          uuid primary key default gen_random_uuid(),
      endpoint_id uuid not null references trestle.webhook_endpoints on delete cascade,
      created     timestamptz not null default now(),
      -- in clear, since a signature is made with it
      secret      text not null,
      -- when it stops to sign; null for the one in force
      expires     timestamptz
    )`.execute(db)
  await sql`create index webhook_secrets_endpoint on trestle.webhook_secrets (endpoint_id)`.execute(db)
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`drop table trestle.webhook_secrets, trestle.webhook_endpoints`.execute(db)
}
