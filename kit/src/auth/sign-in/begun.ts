/**
 * Sign-ins that were begun and not yet finished, in the database, so that a browser may come back to another process. Only
 * the browser that began one can finish it, and once: what is kept is found by the hash of its cookie with the state.
 */
import { createHmac, hash, randomBytes } from "node:crypto"
import { sql } from "kysely"
import { unavailable } from "../../core/errors.ts"
import type { Db } from "../../db/database.ts"
import type { SignInSecrets } from "./provider.ts"

/** How long a person may take at the provider, in milliseconds. */
export const signInMs = 10 * 60 * 1000

/** So many at once are a flood: at 200 bytes each they would take 20 MB. */
const mostBegun = 100_000

/** What is known of a sign-in until it is finished. */
export interface BegunSignIn {
  provider: string
  /** Where to go afterwards. */
  next: string
  /** Who was logged in already. */
  userId: string | undefined
}

/** A value for the cookie of a browser; it may begin several sign-ins with it, in several tabs. */
export const newBrowserSecret = (): string => randomBytes(32).toString("base64url")

export const newState = (): string => randomBytes(32).toString("base64url")

/** Nonce and verifier follow from the cookie and the state, so that nothing here can finish a sign-in without its browser. */
export function secretsOf(browser: string, state: string): SignInSecrets {
  const derive = (use: string) => createHmac("sha256", browser).update(`${use} ${state}`).digest("base64url")
  return { state, nonce: derive("nonce"), verifier: derive("verifier") }
}

/** Keeps it for ten minutes, and removes what nobody came back to. @throws HttpError 503 when too many are kept */
export async function keepSignIn(db: Db, browser: string, state: string, begun: BegunSignIn): Promise<void> {
  const { provider, next, userId = null } = begun
  const expires = new Date(Date.now() + signInMs)
  const { rows } = await sql`
    with swept as (delete from trestle.sign_ins where expires < now())
    insert into trestle.sign_ins (hash, provider, next, user_id, expires)
    select ${hashOf(browser, state)}, ${provider}, ${next}, ${userId}::uuid, ${expires}
    where (select count(*) from (select 1 from trestle.sign_ins limit ${mostBegun}) as kept) < ${mostBegun}
    returning 1`.execute(db)
  if (rows.length === 0) throw unavailable("Too many people log in at once. Try again soon.")
}

/** Takes it out: whoever comes second, with the same answer of the provider, finds nothing. */
export async function takeSignIn(
  db: Db,
  provider: string,
  browser: string,
  state: string,
): Promise<BegunSignIn | undefined> {
  const { rows } = await sql<{ next: string; user_id: string | null; expires: string }>`
    delete from trestle.sign_ins where hash = ${hashOf(browser, state)} and provider = ${provider}
    returning next, user_id, expires`.execute(db)
  const [row] = rows
  if (!row || Date.parse(row.expires) < Date.now()) return undefined
  return { provider, next: row.next, userId: row.user_id ?? undefined }
}

const hashOf = (browser: string, state: string): Buffer => hash("sha256", `${browser} ${state}`, "buffer")
