/** Writes accounts, many at a time, and finds out which are there already. */
import { sql } from "kysely"
import type { Db } from "../../db/database.ts"
import type { ReadAccount } from "./account.ts"

/** What is there of some accounts. */
export interface Present {
  /** Addresses in lower case. */
  emails: Set<string>
  ids: Set<string>
}

export async function findPresent(db: Db, accounts: readonly ReadAccount[]): Promise<Present> {
  const emails = accounts.map(({ email }) => email.toLowerCase())
  const { rows } = await sql<{ id: string; email: string }>`
    select id, lower(email) as email from trestle.users
    where lower(email) = any(${emails}::text[]) or id = any(${accounts.map(({ id }) => id)}::uuid[])`.execute(db)
  return { emails: new Set(rows.map(({ email }) => email)), ids: new Set(rows.map(({ id }) => id)) }
}

/** Writes them in one statement, and returns the ids of those that were not there. */
export async function insertAccounts(db: Db, accounts: readonly ReadAccount[]): Promise<Set<string>> {
  if (accounts.length === 0) return new Set()
  const { rows } = await sql<{ id: string }>`
    insert into trestle.users (id, created, email, password, first_name, last_name, company, role, disabled, tags)
    select id, coalesce(created, now()), email, password, first_name, last_name, company, role, disabled, tags
    from json_to_recordset(${JSON.stringify(accounts)}::json) as account (
      id uuid, created timestamptz, email text, password text, first_name text, last_name text, company text, role text,
      disabled boolean, tags text[]
    )
    on conflict do nothing
    returning id`.execute(db)
  return new Set(rows.map(({ id }) => id))
}
