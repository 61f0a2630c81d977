/** The user that processes run as, when root starts the server to listen below port 1024. */
import { execFile } from "node:child_process"
import { chownSync, existsSync } from "node:fs"
import { dirname, resolve } from "node:path"
import { promisify } from "node:util"
import { BootError } from "../core/errors.ts"
import type { Settings } from "./messages.ts"

/** As the options of a child process have it. */
export interface User {
  uid: number
  gid: number
}

const run = promisify(execFile)
const lookupWithinMs = 5000

/** @throws BootError when there is no such user, or it could not use the database */
export async function userOf(settings: Settings | undefined): Promise<User | undefined> {
  const name = settings?.workers.user
  if (name === undefined) return undefined
  if (process.getuid?.() !== 0) {
    throw new BootError(
      `workers.user is "${name}", which only root can start processes as. Remove it, or start as root.`,
    )
  }
  if (!settings?.database.url) {
    throw new BootError("workers.user needs DATABASE_URL: the embedded database serves the user who starts the server.")
  }
  try {
    const ids = await Promise.all(["-u", "-g"].map((flag) => run("id", [flag, name], { timeout: lookupWithinMs })))
    const [uid, gid] = ids.map(({ stdout }) => Number(stdout))
    return { uid: uid!, gid: gid! }
  } catch (cause) {
    throw new BootError(`workers.user is "${name}", and this machine has no such user.`, { cause })
  }
}

/** Lets the processes append to the log that root has begun. */
export function lendLog({ logging }: Settings, folder: string, user: User | undefined): void {
  if (!user || logging.file === "none") return
  const file = resolve(folder, logging.file)
  for (const path of [dirname(file), file]) if (existsSync(path)) chownSync(path, user.uid, user.gid)
}
