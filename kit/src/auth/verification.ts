/** Addresses that were shown to be their owner's: the account's own, and one that takes its place. */
import type { FastifyRequest } from "fastify"
import { sql } from "kysely"
import { badRequest, forbidden, HttpError } from "../core/errors.ts"
import { announce } from "../db/changes.ts"
import { deadLink, takeLink } from "./account-links.ts"
import { type AccountRow, addressTaken } from "./accounts.ts"
import { sendLink } from "./link-job.ts"
import { greeted, wordsOf } from "./link-mails.ts"
import type { Accounts } from "./log-in.ts"

/** Sends a link to the account's own address. @throws HttpError 400 when it is verified, 429 after too many */
export async function askToVerify(
  { jobs, mailLimits }: Accounts,
  { email, verified }: AccountRow,
  { ip }: FastifyRequest,
): Promise<void> {
  if (verified !== null) throw badRequest("The e-mail address is verified already.")
  await mailLimits.begin({ what: "verify", to: email, from: ip })
  await jobs.send(sendLink, { purpose: "verify", email })
}

/**
 * Sends a link to another address, which becomes the account's own when it is followed, and a note to the present one. Whether
 * the other one has an account is told to that address only.
 * @throws HttpError 400 for the present one, 429 after too many
 */
export async function askToChange(
  { db, jobs, mail, mailLimits }: Accounts,
  account: AccountRow,
  email: string,
  { ip }: FastifyRequest,
): Promise<void> {
  const { id, email: present } = account
  if (email.toLowerCase() === present.toLowerCase()) throw badRequest("This is your e-mail address already.")
  await mailLimits.begin({ what: "changing", to: present, from: ip })
  await mailLimits.begin({ what: "change", to: email, from: ip })
  await db.transaction().execute(async (tx) => {
    await sql`update trestle.users set new_email = ${email} where id = ${id}`.execute(tx)
    await jobs.send(sendLink, { purpose: "change", email, account: id }, { tx })
    const template = wordsOf(mail, "changing")
    await mail.send({ to: present, template, data: { name: greeted(account), email, path: "/auth/forgot" }, tx })
  })
}

/**
 * Does what a link to an address is for. Whoever follows it need not be logged in, and is not afterwards.
 * @throws HttpError 400 for a link that does not count, or an address that got an account meanwhile
 */
export async function verifyAddress({ db, sessions }: Pick<Accounts, "db" | "sessions">, token: string): Promise<void> {
  try {
    const id = await db.transaction().execute(async (tx) => {
      const link = await takeLink(tx, token, ["verify", "change"])
      if (!link) throw deadLink()
      const { id } = link.account
      await sql`
        update trestle.users
        set modified = now(), verified = now(), email = ${link.email},
            new_email = case when new_email = ${link.email} then null else new_email end
        where id = ${id}`.execute(tx)
      await announce(tx, `user ${id}`)
      return id
    })
    sessions.ownerChanged(id)
  } catch (error) {
    // The other account was made after the link was sent (unique_violation). It is the owner of the address who is told.
    if ((error as { code?: string }).code === "23505") throw addressTaken()
    throw error
  }
}

/**
 * Lets nobody in whose address is to be verified first, and sends another link. It is asked after the password, so that it tells
 * nothing to others.
 * @throws HttpError 403
 */
export async function refuseUnverified(accounts: Accounts, row: AccountRow, request: FastifyRequest): Promise<void> {
  if (accounts.settings.verify_email !== "required" || row.verified !== null) return
  await askToVerify(accounts, row, request).catch((error) => {
    // The last one that was sent still counts.
    if (!(error instanceof HttpError) || error.statusCode !== 429) throw error
  })
  throw forbidden("Your e-mail address is not verified yet. Open the link in the mail that we sent you, then log in.")
}
