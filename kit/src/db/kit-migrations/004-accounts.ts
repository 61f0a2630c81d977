/** Accounts of people, their sessions and the browsers that they logged in with. */
import { type Kysely, sql } from "kysely"

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table trestle.users (
      id         uuid primary key default gen_random_uuid(),
      created    timestamptz not null default now(),
      modified   timestamptz not null default now(),
      email      text not null,
      -- null: whoever signs in elsewhere needs none
      password   text,
      first_name text not null,
      last_name  text not null,
      company    text,
      role       text not null,
      tags       text[] not null default '{}',
      disabled   boolean not null default false,
      -- when the address was shown to be its owner's
      verified   timestamptz,
      -- counts changes of role: a session with another number gets a new token
      rights     integer not null default 0
    )`.execute(db)
  await sql`create unique index users_email on trestle.users (lower(email))`.execute(db)

  await sql`
    create table trestle.sessions (
      id            uuid primary key,
      user_id       uuid not null references trestle.users on delete cascade,
      -- SHA-256 of the token; the token itself is kept nowhere
      hash          bytea not null unique check (length(hash) = 32),
      -- the token before the last change of rights, for requests that were under way
      former        bytea unique,
      former_until  timestamptz,
      kind          text not null check (kind in ('cookie', 'token')),
      remember      boolean not null,
      rights        integer not null,
      created       timestamptz not null,
      -- when a password or its like was last shown
      authenticated timestamptz not null,
      renewed       timestamptz not null,
      expires       timestamptz not null,
      address       text not null,
      agent         text not null
    )`.execute(db)
  await sql`create index sessions_user on trestle.sessions (user_id)`.execute(db)
  await sql`create index sessions_expires on trestle.sessions (expires)`.execute(db)

  await sql`
    create table trestle.session_data (
      session_id uuid not null references trestle.sessions on delete cascade,
      key        text not null,
      value      jsonb not null,
      primary key (session_id, key)
    )`.execute(db)

  await sql`
    create table trestle.browsers (
      -- SHA-256 of the id in the browser's cookie
      hash    bytea not null check (length(hash) = 32),
      user_id uuid not null references trestle.users on delete cascade,
      used    timestamptz not null default now(),
      primary key (hash, user_id)
    )`.execute(db)
  await sql`create index browsers_user on trestle.browsers (user_id)`.execute(db)

  await sql`
    create table trestle.identities (
      provider text not null,
      subject  text not null,
      user_id  uuid not null references trestle.users on delete cascade,
      created  timestamptz not null default now(),
      primary key (provider, subject)
    )`.execute(db)
  await sql`create index identities_user on trestle.identities (user_id)`.execute(db)
}

export async function down(db: Kysely<unknown>): Promise<void> {
  for (const table of ["identities", "browsers", "session_data", "sessions", "users"]) {
    await sql`drop table ${sql.table(`trestle.${table}`)}`.execute(db)
  }
}
