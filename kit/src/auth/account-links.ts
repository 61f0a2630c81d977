/**
 * Links in mails, by which somebody proves that an address is theirs. A token of 256 random bits is in the mail and nowhere else;
 * what is kept is its SHA-256. It counts once, for an hour, and only as long as the account is what it was.
 */
import { sql } from "kysely"
import { badRequest } from "../core/errors.ts"
import type { Db } from "../db/database.ts"
import { type AccountRow, accountByEmail, accountById } from "./accounts.ts"
import { hashToken } from "./api-keys.ts"
import { newToken } from "./sessions.ts"

/** What a link is for: a new password, the account's address, or one that takes its place. */
export const purposes = ["reset", "verify", "change"] as const
export type Purpose = (typeof purposes)[number]

/** What somebody asked for. */
export interface LinkWish {
  purpose: Purpose
  /** Where the link goes. */
  email: string
  /** The account, where it is not found by the address yet. */
  userId?: string | undefined
  /** The job that sends it. */
  jobId: string
}

/** The row of an account that a link opens, and the address that it was sent to. */
export interface Linked {
  account: AccountRow
  purpose: Purpose
  email: string
}

/** A link that was made, and whom it is for. */
export interface NewLink {
  token: string
  account: AccountRow
}

/** Makes a link; undefined when there is nobody to send it to. */
export function makeLink(db: Db, wish: LinkWish): Promise<NewLink | undefined> {
  return db.transaction().execute(async (tx) => {
    const account = await addressee(tx, wish)
    if (!account) return undefined
    const { purpose, email, jobId } = wish
    const token = newToken()
    await sql`
      insert into trestle.account_links (hash, user_id, purpose, email, job_id, expires)
      values (${hashToken(token)}, ${account.id}, ${purpose}, ${purpose === "change" ? email : account.email}, ${jobId},
              clock_timestamp() + interval '1 hour')`.execute(tx)
    return { token, account }
  })
}

/**
 * Ends the links that were made for the same before, when the mail with a newer one has gone. Not those of the same job: its mail
 * may be there already, and of two with one Message-ID a mail program may show the first only.
 */
export async function endOlderLinks(db: Db, token: string): Promise<void> {
  await sql`
    delete from trestle.account_links as older using trestle.account_links as newer
    where newer.hash = ${hashToken(token)} and older.user_id = newer.user_id and older.purpose = newer.purpose
      and older.expires < newer.expires and older.job_id <> newer.job_id`.execute(db)
}

/** The account that a link is for, locked, so that of two links at once one is made after the other. */
async function addressee(tx: Db, { purpose, email, userId }: LinkWish): Promise<AccountRow | undefined> {
  const found = userId ? await accountById(tx, userId) : await accountByEmail(tx, email)
  const account = found && (await lock(tx, found.id))
  if (!account || account.disabled) return undefined
  const isWanted = { reset: true, verify: account.verified === null, change: account.new_email === email }
  return isWanted[purpose] ? account : undefined
}

/** Looks at a link without using it up: mail programs open links to see what is behind them. */
export async function findLink(db: Db, token: string, wanted: readonly Purpose[]): Promise<Linked | undefined> {
  const { rows } = await sql<AccountRow & { purpose: Purpose; link_email: string }>`
    select users.*, links.purpose, links.email as link_email
    from trestle.account_links as links join trestle.users on users.id = links.user_id
    where links.hash = ${hashToken(token)} and links.purpose = any(${wanted}) and links.expires > now()
      and not users.disabled
      and links.email = case links.purpose when 'change' then users.new_email else users.email end`.execute(db)
  if (!rows[0]) return undefined
  const { purpose, link_email: email, ...account } = rows[0]
  return { account, purpose, email }
}

/**
 * Uses a link up: of two who come with it at once, one gets it. The transaction is to do what the link is for; rolled back, the
 * link is there again.
 */
export async function takeLink(tx: Db, token: string, wanted: readonly Purpose[]): Promise<Linked | undefined> {
  const found = await findLink(tx, token, wanted)
  // Account before link, as everybody locks them, so that none waits for one that waits for it.
  if (!found || !(await lock(tx, found.account.id))) return undefined
  const link = await findLink(tx, token, wanted)
  await sql`delete from trestle.account_links where hash = ${hashToken(token)}`.execute(tx)
  return link
}

/** The same for whatever does not count: which of these it is would tell whoever guesses. */
export const deadLink = () =>
  badRequest("This link does not count: it was used, is older than an hour, or a newer one was sent. Ask for another.")

/** Ends the links of an account. */
export async function endLinks(tx: Db, userId: string): Promise<void> {
  await sql`delete from trestle.account_links where user_id = ${userId}`.execute(tx)
}

/** Removes those that count no more. */
export async function sweepLinks(db: Db): Promise<void> {
  await sql`delete from trestle.account_links where expires < now()`.execute(db)
}

async function lock(tx: Db, id: string): Promise<AccountRow | undefined> {
  const { rows } = await sql<AccountRow>`select * from trestle.users where id = ${id} for update`.execute(tx)
  return rows[0]
}
