/**
 * Where the data lies and which user runs PostgreSQL. PostgreSQL refuses root, so for root a new database goes below
 * /var/lib/trestle under a user id of its own, and `data/postgres` becomes a link to it: a project in a 0700 home is
 * closed to other users, and a hash of the project's path would give an empty database after a move.
 */
import { randomBytes } from "node:crypto"
import type { Stats } from "node:fs"
import { chmod, chown, lstat, mkdir, open, readdir, readFile, realpath, rmdir, stat, symlink } from "node:fs/promises"
import { basename, dirname, join } from "node:path"
import { BootError } from "../../core/errors.ts"

/** A user of the operating system, as `spawn` and `chown` take it. */
export interface Account {
  uid: number
  gid: number
}

/** The folder of a database and who may work in it. */
export interface Place {
  /** The real folder: versions of the data, copies of the binaries, the log. */
  folder: string
  /** The user that PostgreSQL runs as; undefined: the user of this process. */
  account: Account | undefined
  /** True when `account` owns the folder itself, so that what root creates in it has to be handed over. */
  accountOwnsFolder: boolean
}

/** Where root's databases go: kept over a reboot, and the place that the Filesystem Hierarchy Standard (5.8) names. */
export const defaultRootBase = "/var/lib/trestle"

/**
 * The user ids for root's databases. systemd leaves 60706–61183 unassigned (systemd.io/UIDS-GIDS); below 65536 they exist
 * in containers with user namespaces too. The first without an entry in /etc/passwd is taken, so no person has it.
 */
const ownIds = { first: 61_100, last: 61_183 }

/**
 * Finds the folder of the database, or makes it.
 * @throws BootError when it belongs to someone else, when its link leads nowhere, when root may not hand files over
 */
export async function findPlace(folder: string, rootBase = defaultRootBase): Promise<Place> {
  const isRoot = process.getuid?.() === 0
  const entry = await statusOf(folder)
  if (!entry && isRoot) return { folder: await makeRootFolder(folder, rootBase), ...(await newAccount()) }
  if (!entry) await makeFolder(folder)
  const real = await realpath(folder).catch(() => {
    throw new BootError(
      `${folder} should lead to the database, but it is a link to a folder that is not there. ` +
        `Put that folder back, or delete the link to begin with an empty database.`,
    )
  })
  const owner = await stat(real)
  if (!isRoot) {
    await refuseForeign(real, owner)
    return { folder: real, account: undefined, accountOwnsFolder: true }
  }
  const majors = await majorsIn(real)
  const dataOwner = majors[0] === undefined ? owner : await stat(join(real, String(majors[0])))
  if (dataOwner.uid !== 0) {
    const account = { uid: dataOwner.uid, gid: dataOwner.gid }
    return { folder: real, account, accountOwnsFolder: owner.uid === account.uid }
  }
  if (majors.length > 0) {
    throw new BootError(
      `The database in ${real} belongs to root, and PostgreSQL does not run as root. ` +
        `Give the folder to a normal user (chown -R USER ${quoted(real)}) and start again.`,
    )
  }
  if (entry?.isDirectory()) {
    await rmdir(folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT" || error.code === "ENOTDIR") return // another process was faster
      throw new BootError(`${folder} should be a database or empty, but holds something else. Move it away.`)
    })
    return findPlace(folder, rootBase)
  }
  return { folder: real, ...(await newAccount()) }
}

/** The major versions of PostgreSQL that have data in the folder, newest first. */
export async function majorsIn(folder: string): Promise<number[]> {
  const versions = (await readdir(folder)).filter((name) => /^\d+$/.test(name)).map(Number)
  return versions.sort((a, b) => b - a)
}

/** The user ids that have an entry in /etc/passwd, and the user that each belongs to. */
export async function knownAccounts(): Promise<(Account & { name: string })[]> {
  const lines = (await readFile("/etc/passwd", "utf8").catch(() => "")).split("\n")
  return lines
    .map((line) => line.split(":"))
    .filter((fields) => fields.length > 3)
    .map(([name = "", , uid, gid]) => ({ name, uid: Number(uid), gid: Number(gid) }))
}

/** Runs what only a root with its usual capabilities may do, and says so where it may not (containers). */
export async function asFullRoot<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code !== "EPERM" && code !== "EINVAL") throw error
    throw new BootError(
      `PostgreSQL does not run as root, and this root may not start it as another user (${code}: the capabilities ` +
        `CAP_SETUID, CAP_SETGID or CAP_CHOWN are missing). Start as a normal user, or set DATABASE_URL.`,
      { cause: error },
    )
  }
}

async function statusOf(path: string): Promise<Stats | undefined> {
  return lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined
    throw new BootError(`${path} should hold the database, but it cannot be looked at: ${error.message}.`)
  })
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(dirname(folder), { recursive: true })
    await mkdir(folder, { mode: 0o700 })
    await syncWayTo(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return
    throw new BootError(
      `The database needs the folder ${folder}, which cannot be made: ${(error as Error).message}. ` +
        `Let this user write there, or set DATABASE_URL.`,
    )
  }
}

async function refuseForeign(folder: string, owner: Stats): Promise<void> {
  const uid = process.getuid?.()
  if (uid === undefined || owner.uid === uid) return
  const name = (await knownAccounts()).find((account) => account.uid === owner.uid)?.name ?? `user id ${owner.uid}`
  throw new BootError(
    `The database in ${folder} belongs to ${name}, and this is user id ${uid}: only its owner or root may start it. ` +
      `Start as one of them, or set DATABASE_URL.`,
  )
}

/** A new folder of root's, and the link to it; of two processes that make one at once, the second takes the first's. */
async function makeRootFolder(link: string, rootBase: string): Promise<string> {
  const project = basename(dirname(dirname(link))).replace(/[^A-Za-z0-9._-]/g, "-")
  const folder = join(rootBase, `${project || "project"}-${randomBytes(4).toString("hex")}`)
  await mkdir(dirname(link), { recursive: true })
  await mkdir(folder, { recursive: true })
  // Root keeps the folder, so that the account of PostgreSQL cannot replace its own binaries; it may only pass through.
  await chmod(folder, 0o711)
  try {
    await syncWayTo(folder)
    await symlink(folder, link)
    await syncWayTo(link)
  } catch (error) {
    await rmdir(folder)
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error
  }
  return realpath(link)
}

/** A database whose folder or link a power cut took away would be taken for none, and an empty one begun. */
async function syncWayTo(path: string): Promise<void> {
  await syncFolder(dirname(path))
  await syncFolder(dirname(dirname(path)))
}

async function newAccount(): Promise<{ account: Account; accountOwnsFolder: boolean }> {
  const taken = new Set((await knownAccounts()).map((account) => account.uid))
  let uid = ownIds.first
  while (taken.has(uid) && uid < ownIds.last) uid++
  return { account: { uid, gid: uid }, accountOwnsFolder: false }
}

/** Puts the names in a folder on the disk: a file's own fsync does not. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r")
  await handle.sync().finally(() => handle.close())
}

/** Gives a file or folder of ours to the account of the database, if that is another than this process's. */
export async function handOver(path: string, account: Account | undefined): Promise<void> {
  if (account) await asFullRoot(() => chown(path, account.uid, account.gid))
}

function quoted(path: string): string {
  return `'${path.replaceAll("'", "'\\''")}'`
}
