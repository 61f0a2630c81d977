/** Accounts of people: what they are to clients, and their rows. */
import { sql } from "kysely"
import { badRequest } from "../core/errors.ts"
import { grantableRoles, type Role } from "../core/roles.ts"
import { Id, type Static, Timestamp, Type } from "../core/schema.ts"
import { announce } from "../db/changes.ts"
import type { Db } from "../db/database.ts"
import { containing } from "../db/search.ts"

/** What an account can be. `disabled` is let in nowhere. */
export const accountRoles = [...grantableRoles, "disabled"] as const

/** An account as clients see it. */
export const Account = Type.Object({
  id: Id,
  created: Timestamp,
  modified: Timestamp,
  email: Type.String(),
  first_name: Type.String(),
  last_name: Type.String(),
  fullname: Type.String(),
  company: Type.Optional(Type.String()),
  role: Type.Enum([...accountRoles]),
  tags: Type.Array(Type.String()),
})
export type Account = Static<typeof Account>

/** Without quotes and brackets, which the format allows: what could not be mailed to is no way to reach anybody. */
export const EmailAddress = Type.String({ format: "email", pattern: '^[^"[]*$', maxLength: 254 })
export const PersonName = Type.String({ minLength: 1, maxLength: 100 })
export const Company = Type.String({ maxLength: 200 })
export const Tags = Type.Array(Type.String({ minLength: 1, maxLength: 50 }), { maxItems: 50 })

/** A row of `trestle.users`. */
export interface AccountRow {
  id: string
  created: string
  modified: string
  email: string
  password: string | null
  first_name: string
  last_name: string
  company: string | null
  role: Exclude<Role, "visitor">
  tags: string[]
  disabled: boolean
  verified: string | null
  rights: number
  /** The address that is to be its own, once a link to it was followed. */
  new_email: string | null
}

export const fullName = ({ first_name, last_name }: Pick<AccountRow, "first_name" | "last_name">): string =>
  `${first_name} ${last_name}`.trim()

/** The row without what is nobody's business. */
export function accountOf(row: AccountRow): Account {
  const { password, disabled, verified, rights, new_email, company, role, ...shown } = row
  return {
    ...shown,
    fullname: fullName(row),
    ...(company !== null && { company }),
    role: disabled ? "disabled" : role,
  }
}

export interface NewAccount {
  email: string
  /** As {@link Passwords.hash} makes it; null for whoever signs in elsewhere. */
  password: string | null
  first_name: string
  last_name: string
  company?: string | undefined
  role: string
  tags?: string[]
  disabled?: boolean
  /** Whether the address was shown to be its owner's. */
  isVerified?: boolean
}

/** Makes an account; undefined when its address has one already. */
export async function createAccount(db: Db, account: NewAccount): Promise<AccountRow | undefined> {
  const { email, password, first_name, last_name, company = null, role, tags = [], disabled = false } = account
  const { rows } = await sql<AccountRow>`
    insert into trestle.users (email, password, first_name, last_name, company, role, tags, disabled, verified)
    values (${email}, ${password}, ${first_name}, ${last_name}, ${company}, ${role}, ${tags}, ${disabled},
            case when ${account.isVerified ?? false} then now() end)
    on conflict (lower(email)) do nothing
    returning *`.execute(db)
  return rows[0]
}

export const accountByEmail = async (db: Db, email: string): Promise<AccountRow | undefined> =>
  (await sql<AccountRow>`select * from trestle.users where lower(email) = lower(${email})`.execute(db)).rows[0]

export const accountById = async (db: Db, id: string): Promise<AccountRow | undefined> =>
  (await sql<AccountRow>`select * from trestle.users where id = ${id}`.execute(db)).rows[0]

/** What can be changed of an account; what is undefined stays. */
export interface AccountChange {
  first_name?: string | undefined
  last_name?: string | undefined
  company?: string | null | undefined
  role?: string | undefined
  tags?: string[] | undefined
  disabled?: boolean | undefined
}

/**
 * Changes a password, if it still is the one that was verified, and tells all processes: of two changes at once, or of a login
 * that makes the hash anew, none brings back what another one replaced. Whoever asked for a new password or another address
 * before, and may have had no right to, is left with nothing.
 * @returns undefined when it is not
 */
export async function changePassword(
  db: Db,
  { id, password: former }: Pick<AccountRow, "id" | "password">,
  password: string,
): Promise<AccountRow | undefined> {
  return db.transaction().execute(async (tx) => {
    const { rows } = await sql<AccountRow>`
      update trestle.users set modified = now(), password = ${password}, new_email = null
      where id = ${id} and password is not distinct from ${former}
      returning *`.execute(tx)
    if (!rows[0]) return undefined
    await sql`delete from trestle.account_links where user_id = ${id} and purpose <> 'verify'`.execute(tx)
    await announce(tx, `user ${id}`)
    return rows[0]
  })
}

/** Changes an account and tells all processes; undefined when there is none. */
export async function changeAccount(db: Db, id: string, change: AccountChange): Promise<AccountRow | undefined> {
  const { first_name, last_name, company, role, tags, disabled } = change
  return db.transaction().execute(async (tx) => {
    const { rows } = await sql<AccountRow>`
      update trestle.users set
        modified = now(),
        first_name = coalesce(${first_name ?? null}, first_name),
        last_name = coalesce(${last_name ?? null}, last_name),
        company = case when ${company !== undefined} then ${company ?? null}::text else company end,
        tags = coalesce(${tags ?? null}::text[], tags),
        disabled = coalesce(${disabled ?? null}, disabled),
        rights = rights + case when ${role ?? null}::text is distinct from role and ${role !== undefined} then 1 else 0 end,
        role = coalesce(${role ?? null}::text, role)
      where id = ${id}
      returning *`.execute(tx)
    if (rows[0]) await announce(tx, `user ${rows[0].id}`)
    return rows[0]
  })
}

/** Deletes an account with its sessions; what it created stays. */
export async function deleteAccount(db: Db, id: string): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await sql`delete from trestle.users where id = ${id}`.execute(tx)
    await announce(tx, `user ${id}`)
  })
}

/** A page of the accounts whose address or name has `search` in it, oldest first. */
export async function findAccounts(
  db: Db,
  { page, size, search }: { page: number; size: number; search?: string | undefined },
): Promise<{ accounts: AccountRow[]; total: number }> {
  const found = search
    ? sql`where email ilike ${containing(search)} or first_name || ' ' || last_name ilike ${containing(search)}`
    : sql``
  const { rows: counted } = await sql<{ total: number }>`
    select count(*)::int as total from trestle.users ${found}`.execute(db)
  const { rows } = await sql<AccountRow>`
    select * from trestle.users ${found} order by created, id limit ${size} offset ${(page - 1) * size}`.execute(db)
  return { accounts: rows, total: counted[0]!.total }
}

export const addressTaken = () => badRequest("This e-mail address has an account already. Log in, or take another one.")
