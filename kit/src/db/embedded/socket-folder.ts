/**
 * The folder of the database's Unix socket: private, because whoever reaches the socket is the owner, and short, because the
 * path of a socket has at most 107 bytes (103 on macOS) and that of a project may have more.
 * A link `socket` beside the data leads to it: for people (`psql -h data/postgres/socket`), and to clear it away later.
 */
import { randomBytes } from "node:crypto"
import { mkdir, readlink, rm, symlink } from "node:fs/promises"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import { handOver, type Place } from "./place.ts"

const prefix = "trestle-pg-"

/** The longest folder for temporary files that leaves room for `/trestle-pg-XXXXXXXXXXXX/.s.PGSQL.5432.lock`. */
const longestTmpdir = 60

/**
 * Makes an empty folder that only the user of the database may enter, after removing the one of before. `again` is the
 * path to use: after a restart the connection pools of all workers still go there.
 */
export async function makeSocketFolder(place: Place, again?: string): Promise<string> {
  await removeSocketFolder(place)
  // Root's own TMPDIR may be closed to the other user that PostgreSQL runs as.
  const base = place.account || tmpdir().length > longestTmpdir ? "/tmp" : tmpdir()
  const folder = again ?? join(base, prefix + randomBytes(6).toString("hex"))
  await symlink(folder, join(place.folder, "socket"))
  await mkdir(folder, { mode: 0o700 }) // fails if somebody else was faster, rather than trusting their folder
  await handOver(folder, place.account)
  return folder
}

/** Removes the socket folder of a database that does not run. */
export async function removeSocketFolder(place: Place): Promise<void> {
  const link = join(place.folder, "socket")
  const folder = await readlink(link).catch(() => undefined)
  if (folder && basename(folder).startsWith(prefix)) await rm(folder, { recursive: true, force: true })
  await rm(link, { force: true })
}
