/** Answers of idempotent routes, for whoever asks again with the same Idempotency-Key. */
import { type Kysely, sql } from "kysely"

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table trestle.kept_answers (
      -- SHA-256 of the caller, the route and the key, so that no other caller or route finds it
      id          bytea primary key check (length(id) = 32),
      -- SHA-256 of what was asked
      fingerprint bytea not null check (length(fingerprint) = 32),
      status      smallint not null,
      headers     jsonb not null,
      -- null: the answer has no body
      body        bytea,
      expires     timestamptz not null
    )`.execute(db)
  await sql`create index kept_answers_expires on trestle.kept_answers (expires)`.execute(db)
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`drop table trestle.kept_answers`.execute(db)
}
