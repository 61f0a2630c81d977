/** `trestle db url`: how other programs reach the database. */
import { BootError } from "../core/errors.ts"
import { withDatabase } from "./command.ts"

export async function url(): Promise<void> {
  await withDatabase("db url", async ({ located: { address, embedded } }) => {
    // An owner stops it when it ends, and this one ends now.
    if (embedded?.isOwner) {
      throw new BootError("The database runs only while the server does: start it with npm start, then ask again.")
    }
    const url =
      "url" in address
        ? address.url
        : `postgresql://${address.user}@/${address.database}?host=${encodeURIComponent(address.host)}&port=${address.port}`
    process.stdout.write(`${url}\n`)
  })
}
