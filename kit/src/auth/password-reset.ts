/** A new password for whoever has forgotten the old one, by a link to the account's address. */
import type { FastifyRequest } from "fastify"
import { sql } from "kysely"
import { announce } from "../db/changes.ts"
import { deadLink, endLinks, findLink, takeLink } from "./account-links.ts"
import { sendLink } from "./link-job.ts"
import { type Accounts, refuseWeak } from "./log-in.ts"

/**
 * Has a link sent, if the address has an account, which is not looked up here: the answer takes the same way for all.
 * @throws HttpError 429 after too many
 */
export async function askForReset(
  { jobs, mailLimits }: Accounts,
  email: string,
  { ip }: FastifyRequest,
): Promise<void> {
  await mailLimits.begin({ what: "reset", to: email, from: ip })
  await jobs.send(sendLink, { purpose: "reset", email })
}

/** What is answered whether there is an account or not. */
export const resetAsked =
  "If the address has an account, a mail is on its way to it, with a link to choose a new password. It works for an hour."

/**
 * Gives the account of the link another password, and ends all its sessions.
 * @throws HttpError 400 for a link that does not count, or a password that the rules forbid: then the link still counts
 */
export async function resetPassword(
  accounts: Accounts,
  { token, password }: { token: string; password: string },
  request: FastifyRequest,
): Promise<void> {
  const { db, passwords, sessions, limits, browsers } = accounts
  const found = await findLink(db, token, ["reset"])
  if (!found) throw deadLink()
  const { id, email, first_name, last_name } = found.account
  refuseWeak(accounts, password, { email, names: [first_name, last_name] }, "password")
  const browser = await browsers.find(request, id)
  const hash = await passwords.hash(password)
  // Before as well, so that a process that ends in between leaves nobody logged in who was to be put out.
  await sessions.endAll(id)
  await db.transaction().execute(async (tx) => {
    if (!(await takeLink(tx, token, ["reset"]))) throw deadLink()
    await sql`
      update trestle.users
      set modified = now(), password = ${hash}, new_email = null, verified = coalesce(verified, now())
      where id = ${id}`.execute(tx)
    await endLinks(tx, id)
    await announce(tx, `user ${id}`)
  })
  await sessions.endAll(id)
  // Whoever tried the old one too often may now come with the new one.
  await limits.succeeded({ account: email, address: request.ip, browser })
}
