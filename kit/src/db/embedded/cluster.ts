/**
 * Creates the data of a database ("cluster" in PostgreSQL's words) with initdb. One that is killed half-way leaves data that
 * starts but lacks parts, so it works in a folder of its own, which gets its name only when all of it is on the disk.
 */
import { execFile } from "node:child_process"
import { randomUUID } from "node:crypto"
import { lchown, mkdir, readdir, rename, rm } from "node:fs/promises"
import { userInfo } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { BootError } from "../../core/errors.ts"
import type { Binaries } from "./binaries.ts"
import { type Account, asFullRoot, handOver, knownAccounts, type Place, syncFolder } from "./place.ts"

const run = promisify(execFile)

/** The one role of the database; who reaches the socket is the owner, so it is a superuser without a password. */
export const superuser = "trestle"

/**
 * Makes `<folder>/<major>`. Call it under the start lock.
 * @param durable false leaves the writing to the system: for tests
 */
export async function createCluster(place: Place, binaries: Binaries, durable: boolean): Promise<void> {
  const creator = await accountForInitdb(place)
  const fresh = join(place.folder, `new-${process.pid}-${randomUUID()}`)
  const options = { ...creator, cwd: "/", env: binaries.environment }
  await mkdir(fresh, { mode: 0o700 })
  await handOver(fresh, creator)
  await initdb(binaries, fresh, options)
  if (place.account && creator?.uid !== place.account.uid) await handOverAll(fresh, place.account)
  if (durable) {
    // 90 ms file by file. `--sync-method=syncfs` takes 35 ms here, but it waits for whatever anyone has written to this
    // disk: after an `npm ci` that is hundreds of megabytes, seconds on a slow disk.
    await run(binaries.initdb, ["--sync-only", "-D", fresh], { ...options, ...place.account })
  }
  await rename(fresh, join(place.folder, String(binaries.major)))
  if (durable) await syncFolder(place.folder)
}

/** Removes what starters that died left in the folder. Call it under the start lock: nobody else is creating then. */
export async function removeLeftovers(place: Place): Promise<void> {
  for (const name of await readdir(place.folder)) {
    if (!name.startsWith("new-")) continue
    // An initdb that outlived its parent for a moment may still be writing there: the next start tries again.
    await rm(join(place.folder, name), { recursive: true, force: true, maxRetries: 3 }).catch(() => {})
  }
}

async function initdb(binaries: Binaries, folder: string, options: object): Promise<void> {
  const settings = [
    ...["-D", folder, "-U", superuser, "-E", "UTF8", "--no-sync"],
    // The socket's folder lets in its owner only; over TCP nobody, even if somebody turns it on in postgresql.conf.
    ...["--auth-local=trust", "--auth-host=reject"],
    // Sorting and upper/lower case from PostgreSQL itself: an update of the system's C library, or a move to another
    // system, cannot change the order of texts and so break the indexes over them. 15 and 16 know libc only.
    ...(binaries.major >= 17 ? ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] : []),
  ]
  try {
    await run(binaries.initdb, [...settings, "--locale=C.UTF-8"], options)
  } catch (error) {
    const said = String((error as { stderr?: string }).stderr || (error as Error).message)
    // macOS and old C libraries lack this locale; initdb says so before it writes anything.
    if (said.includes("invalid locale name")) await run(binaries.initdb, [...settings, "--locale=C"], options)
    else throw new BootError(`PostgreSQL could not create the database in ${folder}:\n${said.trim()}`, { cause: error })
  }
}

/**
 * initdb looks its user's name up and fails without one, which PostgreSQL itself does not. So where the account has no
 * name, `nobody` creates the data (in a 0700 folder), which is handed over before it holds anything.
 * @throws BootError for a process that is not root and whose user id has no name (containers started with a bare number)
 */
async function accountForInitdb(place: Place): Promise<Account | undefined> {
  if (!place.account) {
    try {
      userInfo()
      return undefined
    } catch {
      throw new BootError(
        `PostgreSQL creates a database only for a user with a name, and user id ${process.getuid?.()} has no entry in ` +
          `/etc/passwd. Start as a user who has one, or set DATABASE_URL.`,
      )
    }
  }
  const accounts = (await knownAccounts()).filter((account) => account.uid > 0)
  const { uid } = place.account
  const creator =
    accounts.find((account) => account.uid === uid) ??
    accounts.find((account) => account.name === "nobody") ??
    accounts[0]
  if (creator) return { uid: creator.uid, gid: creator.uid === uid ? place.account.gid : creator.gid }
  throw new BootError("PostgreSQL needs a user other than root in /etc/passwd. Add one, or set DATABASE_URL.")
}

async function handOverAll(folder: string, account: Account): Promise<void> {
  const names = await readdir(folder, { recursive: true })
  await asFullRoot(async () => {
    await Promise.all(names.map((name) => lchown(join(folder, name), account.uid, account.gid)))
    await lchown(folder, account.uid, account.gid)
  })
}
