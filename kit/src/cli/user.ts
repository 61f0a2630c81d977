/** `trestle user create|list|role|disable|enable|password`: the accounts of people. What is changed counts at once, everywhere. */
import { Value } from "typebox/value"
import {
  type AccountRow,
  accountByEmail,
  accountOf,
  accountRoles,
  Company,
  changeAccount,
  changePassword,
  createAccount,
  EmailAddress,
  findAccounts,
  fullName,
  PersonName,
} from "../auth/accounts.ts"
import { createPasswords } from "../auth/passwords.ts"
import { postgresSessions } from "../auth/postgres-sessions.ts"
import { redisSessions } from "../auth/redis-sessions.ts"
import { BootError } from "../core/errors.ts"
import { escapeControls } from "../core/log/escape.ts"
import { grantableRoles } from "../core/roles.ts"
import { didYouMean } from "../core/suggest.ts"
import { announce } from "../db/changes.ts"
import { type Arguments, type CommandContext, withTables } from "./command.ts"
import { redisOf } from "./redis.ts"
import { newPassword, readPassword } from "./user-password.ts"

type Texts = Record<string, string | undefined>

export async function create({ words: [email = ""], flags }: Arguments): Promise<void> {
  const { role, company, "first-name": first_name = "", "last-name": last_name = "" } = flags as Texts
  if (!Value.Check(EmailAddress, email)) throw new BootError(`"${email}" is no e-mail address.`)
  for (const [flag, name] of Object.entries({ "first-name": first_name, "last-name": last_name })) {
    if (name && !Value.Check(PersonName, name)) throw new BootError(`--${flag} takes up to 100 characters.`)
  }
  if (company && !Value.Check(Company, company)) throw new BootError("--company takes up to 200 characters.")
  if (role !== undefined) checkRole(role, grantableRoles)
  const given = flags["password-stdin"] ? await readPassword() : undefined

  await withTables("user", async ({ db, config: { accounts } }) => {
    const password = newPassword(given, accounts, { email, names: [first_name, last_name] })
    const account = { email, first_name, last_name, company, role: role ?? accounts.default_role }
    const row = await createAccount(db, { ...account, password: await hashOf(password) })
    if (!row) throw new BootError(`${email} has an account already. To change it: npx trestle help user`)
    if (given === undefined) print(password)
    note(
      `Made the account of ${email}, with the role ${row.role}.${given === undefined ? " Its password is shown only now." : ""}`,
    )
  })
}

export function list({ flags }: Arguments): Promise<void> {
  const { search, role } = flags as Texts
  if (role !== undefined) checkRole(role, accountRoles)
  return withTables("user", async ({ db }) => {
    const size = 1000
    let shown = 0
    for (let page = 1; ; page++) {
      const { accounts } = await findAccounts(db, { page, size, search })
      for (const row of accounts) {
        if (role !== undefined && accountOf(row).role !== role) continue
        print(lineOf(row))
        shown++
      }
      if (accounts.length < size) break
    }
    if (shown > 0) return
    note(search || role ? "No account matches." : "There are no accounts. To make one: npx trestle user create EMAIL")
  })
}

function lineOf(row: AccountRow): string {
  const { email, role, created, disabled } = row
  // Names come from outside: they must not drive the terminal.
  const [address, name] = [email, fullName(row)].map(escapeControls) as [string, string]
  const line = `${address.padEnd(32)}  ${role.padEnd(9)}  ${name.padEnd(24)}  since ${created.slice(0, 10)}`
  return disabled ? `${line}  disabled` : line
}

export async function role({ words: [email = "", role = ""] }: Arguments): Promise<void> {
  if (role === "disabled") throw new BootError(`To let it in nowhere: npx trestle user disable ${email}`)
  checkRole(role, grantableRoles)
  await withAccount(email, async ({ db }, { id, email, disabled }) => {
    await changeAccount(db, id, { role })
    print(`${email} has the role ${role}${disabled ? ", and is disabled" : ""}.`)
  })
}

export function disable({ words: [email = ""] }: Arguments): Promise<void> {
  return withAccount(email, async (context, { id, email }) => {
    await changeAccount(context.db, id, { disabled: true })
    print(`${email} is disabled.`)
    await endSessions(context, id)
  })
}

export function enable({ words: [email = ""] }: Arguments): Promise<void> {
  return withAccount(email, async ({ db }, { id, email, role }) => {
    await changeAccount(db, id, { disabled: false })
    print(`${email} is let in again, with the role ${role}.`)
  })
}

export async function password({ words: [email = ""], flags }: Arguments): Promise<void> {
  const given = flags["password-stdin"] ? await readPassword() : undefined
  await withAccount(email, async (context, row) => {
    const { id, email, first_name, last_name, disabled } = row
    const password = newPassword(given, context.config.accounts, { email, names: [first_name, last_name] })
    if (!(await changePassword(context.db, row, await hashOf(password)))) {
      throw new BootError(`The password of ${email} was changed by somebody else meanwhile. It is theirs; try again.`)
    }
    if (given === undefined) print(password)
    note(
      `${email} has a new password${given === undefined ? ", shown only now" : ""}.${disabled ? " It is disabled." : ""}`,
    )
    await endSessions(context, id)
  })
}

function withAccount(email: string, work: (context: CommandContext, row: AccountRow) => Promise<void>): Promise<void> {
  return withTables("user", async (context) => {
    const row = await accountByEmail(context.db, email)
    if (!row) throw new BootError(`No account has the address ${email}. To see which there are: npx trestle user list`)
    await work(context, row)
  })
}

function checkRole(role: string, roles: readonly string[]): void {
  if (roles.includes(role)) return
  throw new BootError(`There is no role "${role}".${didYouMean(role, roles)} The roles are ${roles.join(", ")}.`)
}

/** Ends the sessions of an account where they are kept, and tells the servers last: who looks before may still find one. */
async function endSessions({ db, app, config, log }: CommandContext, userId: string): Promise<void> {
  const redis = await redisOf(app, config, log).catch((cause: Error) => {
    throw new BootError(`The sessions were not ended. ${cause.message}`, { cause })
  })
  try {
    await (redis ? redisSessions(redis.client, redis.prefix) : postgresSessions(db)).endAll(userId)
  } finally {
    await redis?.close()
  }
  await announce(db, `user ${userId}`)
}

async function hashOf(password: string): Promise<string> {
  const passwords = createPasswords({ parallel: 1 })
  try {
    return await passwords.hash(password)
  } finally {
    passwords.close()
  }
}

const print = (line: string) => void process.stdout.write(`${line}\n`)
/** To people, not to whoever reads the password from a pipe. */
const note = (line: string) => void process.stderr.write(`${line}\n`)
