/** API keys: machines that may call, each a principal with an id of its own. */
import { type Kysely, sql } from "kysely"

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table trestle.api_keys (
      id        uuid primary key default gen_random_uuid(),
      created   timestamptz not null default now(),
      name      text not null,
      role      text not null,
      -- SHA-256 of the token; the token itself is shown once and kept nowhere
      hash      bytea not null unique check (length(hash) = 32),
      expires   timestamptz,
      revoked   timestamptz,
      last_used timestamptz
    )`.execute(db)
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`drop table trestle.api_keys`.execute(db)
}
