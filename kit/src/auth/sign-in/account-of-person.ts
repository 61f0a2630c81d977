/**
 * Which account somebody is let into who comes from a provider. A person is known by issuer and subject. An address alone opens
 * no account that is there: somebody else may have made it, or made the address theirs at the provider.
 */
import { sql } from "kysely"
import { Value } from "typebox/value"
import type { Config } from "../../core/config/index.ts"
import type { Db } from "../../db/database.ts"
import { type AccountRow, accountByEmail, createAccount, EmailAddress } from "../accounts.ts"
import type { Accounts } from "../log-in.ts"
import { SignInFailure } from "./failure.ts"
import type { ForeignPerson } from "./provider.ts"

export interface Entered {
  account: AccountRow
  /** Whether the account is known by this person from now on, and was not before. */
  isLinked: boolean
}

export interface EnterOptions {
  settings: Config["accounts"]
  /** How the provider is called. */
  provider: string
  /** Who was logged in when the sign-in was begun. */
  userId: string | undefined
  /** See {@link Accounts.greet}. */
  greet: Accounts["greet"]
}

/** Finds the account, or makes it, or links it. @throws SignInFailure where none is to be opened */
export function accountOfPerson(db: Db, person: ForeignPerson, options: EnterOptions): Promise<Entered> {
  const { issuer, subject } = person
  return db.transaction().execute(async (tx) => {
    // Two answers at once for one person: the second waits, and then finds what the first made.
    await sql`select pg_advisory_xact_lock(hashtextextended(${`${issuer} ${subject}`}, 0))`.execute(tx)
    const known = await accountOfIdentity(tx, person)
    const account = known ?? (await accountByAddress(tx, person, options))
    if (account.disabled) {
      throw new SignInFailure(
        403,
        "This account is disabled. Ask whoever runs this server.",
        `${account.id} is disabled`,
      )
    }
    if (known) return { account, isLinked: false }
    await sql`
      insert into trestle.identities (provider, subject, user_id)
      values (${issuer}, ${subject}, ${account.id})`.execute(tx)
    // That it is their address was shown now, whoever made the account: they were let in to both.
    const { rows } = await sql<AccountRow>`
      update trestle.users set verified = coalesce(verified, now()) where id = ${account.id} returning *`.execute(tx)
    return { account: rows[0]!, isLinked: true }
  })
}

async function accountOfIdentity(db: Db, { issuer, subject }: ForeignPerson): Promise<AccountRow | undefined> {
  const { rows } = await sql<AccountRow>`
    select users.* from trestle.identities join trestle.users on users.id = identities.user_id
    where identities.provider = ${issuer} and identities.subject = ${subject}`.execute(db)
  return rows[0]
}

/** The account of an address that the provider has verified: a new one, or one that is as certain to be this person's. */
async function accountByAddress(db: Db, person: ForeignPerson, options: EnterOptions): Promise<AccountRow> {
  const { email, isVerified } = person
  const { settings, provider, userId, greet } = options
  if (email === undefined || !Value.Check(EmailAddress, email)) {
    const message = `${provider} does not tell your e-mail address, which an account here needs. Sign up with a password instead.`
    throw new SignInFailure(400, message, "no e-mail address")
  }
  // Said before it is looked whether there is an account: who merely claims an address learns nothing.
  if (!isVerified) {
    const message = `${provider} has not verified your e-mail address. Verify it there, then begin again.`
    throw new SignInFailure(400, message, "the e-mail address is not verified at the provider")
  }
  const there = await accountByEmail(db, email)
  if (!there && !settings.signup) {
    const message = "There is no account with your e-mail address, and new ones are made by whoever runs this server."
    throw new SignInFailure(403, message, "no account, and accounts.signup is off")
  }
  if (!there && userId) {
    const message = `Your account has another e-mail address than ${provider} tells. Log out first to make an account with that one.`
    throw new SignInFailure(400, message, `user ${userId} is logged in with another address`)
  }
  const made = there ? undefined : await makeAccount(db, person, settings)
  if (made) await greet(made, db)
  // Made by another answer in the meantime, it is there now.
  const account = there ?? made ?? (await accountByEmail(db, email))
  if (!account) throw new SignInFailure(503, "This did not work. Begin again.", "the account was deleted meanwhile")
  if (account.verified === null && account.id !== userId) {
    const message =
      "There is an account with your e-mail address already, and nobody has shown yet that the address is theirs. " +
      `Log in with its password first, then continue with ${provider}.`
    const remedy = { path: "/auth/login?next=/auth/login", label: "Log in with the password" }
    throw new SignInFailure(400, message, `the address of account ${account.id} is not verified here`, remedy)
  }
  return account
}

/** Without a password: its owner may set one later. */
const makeAccount = (db: Db, person: ForeignPerson, { default_role }: Config["accounts"]) => {
  const { email = "", firstName, lastName } = person
  return createAccount(db, {
    email,
    password: null,
    first_name: firstName || lastName ? firstName : email.slice(0, email.indexOf("@")),
    last_name: lastName,
    role: default_role,
    isVerified: true,
  })
}
