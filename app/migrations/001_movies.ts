import { type Db, sql } from "trestle"

export async function up(db: Db) {
  await sql`
    create table movies (
      id       uuid primary key default gen_random_uuid(),
      created  timestamptz not null default now(),
      modified timestamptz not null default now(),
      creator  uuid not null,
      title    text not null,
      director text
    )`.execute(db)
  await sql`create index movies_by_age on movies (created, id)`.execute(db)
  await sql`create index movies_by_creator on movies (creator, created, id)`.execute(db)
}

export async function down(db: Db) {
  await sql`drop table movies`.execute(db)
}
