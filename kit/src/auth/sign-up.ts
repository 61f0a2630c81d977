/** Makes the account of somebody who signs up with a password. */
import type { FastifyRequest } from "fastify"
import type { Config } from "../core/config/index.ts"
import { type AccountRow, accountByEmail, addressTaken, createAccount } from "./accounts.ts"
import { sendLink } from "./link-job.ts"
import { takenMail } from "./link-mails.ts"
import { type Accounts, refuseWeak } from "./log-in.ts"

export interface NewPerson {
  email: string
  password: string
  first_name: string
  last_name: string
  company?: string | undefined
}

/**
 * The new account; undefined where nobody is to be logged in: where the address has to be verified first, and where
 * `accounts.reveal_taken_email` is off, whether there is an account or not, so that the answer is the same.
 * @throws HttpError 400 for a weak password or a taken address, 429 after too many mails
 */
export async function signUp(
  accounts: Accounts,
  person: NewPerson,
  { ip }: FastifyRequest,
): Promise<AccountRow | undefined> {
  const { db, passwords, settings, jobs, mailLimits, greet } = accounts
  const { email, first_name, last_name } = person
  const { reveal_taken_email: reveals, verify_email: verifies } = settings
  refuseWeak(accounts, person.password, { email, names: [first_name, last_name] }, "password")
  // Before it is known whether the address is free: both take as long.
  const password = await passwords.hash(person.password)
  const wanted = { what: "signup", to: email, from: ip } as const
  const isMailed = verifies !== "off" || !reveals
  if (isMailed) await mailLimits.begin(wanted)
  const row = await db.transaction().execute(async (tx) => {
    const row = await createAccount(tx, { ...person, password, role: settings.default_role })
    if (row && verifies !== "off") await jobs.send(sendLink, { purpose: "verify", email }, { tx })
    if (row) await greet(row, tx)
    return row
  })
  if (!row && reveals) {
    if (isMailed) await mailLimits.takeBack(wanted)
    throw addressTaken()
  }
  if (!row) await tellOwner(accounts, email)
  return reveals && verifies !== "required" ? row : undefined
}

/** What is answered when nobody is logged in. */
export function signedUp({ reveal_taken_email, verify_email }: Config["accounts"]): string {
  const made = reveal_taken_email ? "The account is made." : "If the address was free, the account is made."
  return verify_email === "required"
    ? `${made} Open the link in the mail that we sent, then log in.`
    : `${made} Log in.`
}

/** Where it is not said here that the address has an account, its owner reads it in a mail. */
async function tellOwner({ db, mail }: Accounts, email: string): Promise<void> {
  const owner = await accountByEmail(db, email)
  if (!owner || owner.disabled) return
  await mail.send({ to: owner.email, ...takenMail(mail, owner) })
}
