/** `trestle db url`: how other programs reach the database. */
import { BootError } from "../core/errors.ts"
import { type Arguments, withDatabase } from "./command.ts"

export const dbUsage = `trestle db url                prints how psql connects to the database: psql "$(npx trestle db url)"`

export async function db({ words: [action] }: Arguments): Promise<void> {
  if (action !== "url") throw new BootError(`Say what to do:\n${dbUsage}`)
  await withDatabase("db url", async ({ address }) => {
    const url =
      "url" in address
        ? address.url
        : `postgresql://${address.user}@/${address.database}?host=${encodeURIComponent(address.host)}&port=${address.port}`
    process.stdout.write(`${url}\n`)
  })
}
