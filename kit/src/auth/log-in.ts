/** Checks an e-mail address with a password: the same answer, in the same time, whether the account exists or not. */
import type { FastifyRequest } from "fastify"
import type { Config } from "../core/config/index.ts"
import { badRequest, unauthorized } from "../core/errors.ts"
import type { Db } from "../db/database.ts"
import type { Jobs } from "../jobs/job.ts"
import type { Mail } from "../mail/mail.ts"
import { type AccountRow, accountByEmail, changePassword } from "./accounts.ts"
import type { Browsers } from "./browsers.ts"
import type { LoginLimits } from "./login-limits.ts"
import type { MailLimits } from "./mail-limits.ts"
import { checkPassword } from "./password-rules.ts"
import type { Passwords } from "./passwords.ts"
import type { UserSessions } from "./user-sessions.ts"

/** What the routes of accounts work with. */
export interface Accounts {
  db: Db
  settings: Config["accounts"]
  passwords: Passwords
  limits: LoginLimits
  browsers: Browsers
  sessions: UserSessions
  jobs: Jobs
  mail: Mail
  mailLimits: MailLimits
  /** Does what the application does with a new account, in the transaction that makes it. */
  greet(account: AccountRow, tx: Db): Promise<void>
}

export const wrongLogin = "The e-mail address or the password is wrong."
const wrongPassword = "The password is wrong."

/** How long ago a login may be that stands for a password, where an account has none. */
const freshMs = 10 * 60 * 1000

/** Finds the account that the address and the password belong to. @throws HttpError 400, or 429 after too many wrong ones */
export async function checkLogin(
  { db, passwords, limits, browsers }: Accounts,
  request: FastifyRequest,
  { email, password }: { email: string; password: string },
  { refusal = wrongLogin, countedBy }: { refusal?: string; countedBy?: string | undefined } = {},
): Promise<AccountRow> {
  const row = await accountByEmail(db, email)
  const browser = countedBy ?? (await browsers.find(request, row?.id))
  const attempt = { account: email.toLowerCase(), address: request.ip, browser }
  await limits.begin(attempt)
  const { ok, outdated } = await passwords.verify(password, row?.password).catch(async (error) => {
    // The server was too busy to look: nobody should be locked out for that.
    await limits.takeBack(attempt)
    throw error
  })
  if (!ok || !row || row.disabled) throw badRequest(refusal)
  await limits.succeeded(attempt)
  // Made with older parameters, or by RESTPie3: only now is the password there to make it anew.
  if (!outdated) return row
  return (await changePassword(db, row, await passwords.hash(password))) ?? refuse(refusal)
}

function refuse(detail: string): never {
  throw badRequest(detail)
}

/** Makes sure that it is the owner who asks, and not who found the browser open: by the password, or by a login of just now. */
export async function checkOwner(
  accounts: Accounts,
  request: FastifyRequest,
  row: AccountRow,
  password: string | undefined,
): Promise<void> {
  if (row.password !== null) {
    // Counted by the session: nobody else can keep the owner from it by guessing.
    const countedBy = request.identity?.session?.session.id
    const credentials = { email: row.email, password: password ?? "" }
    await checkLogin(accounts, request, credentials, { refusal: wrongPassword, countedBy })
  } else if (Date.now() - Date.parse(request.user.since ?? "") > freshMs) {
    throw unauthorized("This needs a login of a moment ago. Log in again.")
  }
}

/** Refuses a password that the rules forbid. @throws HttpError 400 */
export function refuseWeak(
  { settings }: Pick<Accounts, "settings">,
  password: string,
  about: { email?: string; names?: string[] },
  at: string,
): void {
  const rules = { minLength: settings.password_min_length, needsMixed: settings.password_needs_mixed }
  const message = checkPassword(password, rules, about)
  if (message) throw badRequest(message, { errors: [{ at: `body/${at}`, message }] })
}
