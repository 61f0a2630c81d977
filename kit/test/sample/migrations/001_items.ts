import { type Db, sql } from "trestle"

export async function up(db: Db) {
  await sql`
    create table sample_items (
      id      uuid primary key default gen_random_uuid(),
      created timestamptz not null default now(),
      owner   uuid not null,
      name    text not null,
      note    text
    )`.execute(db)
}

export async function down(db: Db) {
  await sql`drop table sample_items`.execute(db)
}
