/** `trestle token new|list|revoke`: the API keys of machines. */
import { createApiKey, listApiKeys, revokeApiKey } from "../auth/api-keys.ts"
import { parseDuration } from "../core/duration.ts"
import { BootError } from "../core/errors.ts"
import type { Db } from "../db/database.ts"
import { type Arguments, withTables } from "./command.ts"

export async function create({ flags }: Arguments): Promise<void> {
  const { name = "token", role = "editor", expires } = flags as Record<string, string | undefined>
  const until = expires ? readExpiry(expires) : undefined
  await withKeys(async (db) => {
    const { key, token } = await createApiKey(db, { name, role, expires: until })
    print(token)
    note(
      `This is the API key "${key.name}", with the role ${key.role}${key.expires ? `, until ${key.expires}` : ""}. It is shown only now.`,
    )
    note(`Send it in the header X-API-Key.`)
  })
}

export function list(): Promise<void> {
  return withKeys(async (db) => {
    const keys = await listApiKeys(db)
    if (keys.length === 0) note("There are no API keys. To make one: npx trestle token new")
    for (const key of keys) {
      const state = key.revoked ? `revoked ${key.revoked}` : key.expires ? `until ${key.expires}` : "in force"
      print(`${key.id}  ${key.role.padEnd(9)}  ${key.name.padEnd(20)}  ${state}  last used ${key.last_used ?? "never"}`)
    }
  })
}

export function revoke({ words: [which = ""] }: Arguments): Promise<void> {
  return withKeys(async (db) => {
    const key = await revokeApiKey(db, which)
    print(`Revoked ${key.name} (${key.id}).`)
  })
}

const withKeys = (work: (db: Db) => Promise<void>): Promise<void> => withTables("token", ({ db }) => work(db))

function readExpiry(text: string): Date {
  if (/^\d{4}-\d\d-\d\d/.test(text)) {
    const date = new Date(text)
    if (!Number.isNaN(date.getTime())) return date
  }
  try {
    return new Date(Date.now() + parseDuration(text))
  } catch {
    throw new BootError(`--expires takes a duration such as "90 days" or a date such as 2027-06-30, not "${text}".`)
  }
}

const print = (line: string) => void process.stdout.write(`${line}\n`)
/** To people, not to whoever reads the token from a pipe. */
const note = (line: string) => void process.stderr.write(`${line}\n`)
