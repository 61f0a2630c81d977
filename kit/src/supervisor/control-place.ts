/**
 * Where the control socket of a project's server is, and how to get there. The socket lies in a private folder for temporary
 * files, because its path may have at most 107 bytes (103 on macOS) and that of a project may have more; `supervisor.json` in
 * the data folder leads to it, and says whose it is. Only a connection proves that a server is there: process ids are used
 * again, and a server that was killed leaves its file.
 */
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import { mkdir, mkdtemp, readFile, rename, rm, rmdir, writeFile } from "node:fs/promises"
import { connect, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { basename, dirname, join } from "node:path"
import { BootError } from "../core/errors.ts"
import type { Log } from "../core/log.ts"
import { withStartLock } from "../db/embedded/start-lock.ts"

/** What `supervisor.json` says. */
export interface Address {
  pid: number
  /** The absolute path of the socket. */
  socket: string
}

const prefix = "trestle-control-"

/** The longest folder for temporary files that leaves room for `/proc/4194304/root` and `/trestle-control-XXXXXX/socket`. */
const longestTmpdir = 55

const fileIn = (folder: string): string => join(folder, "supervisor.json")

/** Makes a folder that only its owner may enter (mkdtemp: 0700), and gives the path of the socket in it. */
export async function makeSocketPlace(): Promise<string> {
  const base = Buffer.byteLength(tmpdir()) > longestTmpdir ? "/tmp" : tmpdir()
  return join(await mkdtemp(join(base, prefix)), "socket")
}

/** Removes a socket and its folder, and nothing else that may be there: the path can come from a file that others wrote. */
export async function removeSocketPlace(socket: string): Promise<void> {
  if (basename(socket) !== "socket" || !basename(dirname(socket)).startsWith(prefix)) return
  await rm(socket, { force: true }).catch(() => {})
  await rmdir(dirname(socket)).catch(() => {})
}

/** Where the server of a data folder says that it is; undefined when no file says so. */
export async function readAddress(folder: string): Promise<Address | undefined> {
  try {
    const { pid, socket } = JSON.parse(await readFile(fileIn(folder), "utf8")) ?? {}
    return Number.isInteger(pid) && typeof socket === "string" ? { pid, socket } : undefined
  } catch (error) {
    if (error instanceof SyntaxError || meansNobody(error)) return undefined
    throw error
  }
}

/** Connects to a server; undefined when none is there. It rejects when one is there and takes no connections now. */
export async function reach({ pid, socket }: Address): Promise<Socket | undefined> {
  try {
    return await connected(socket)
  } catch (error) {
    if (!meansNobody(error)) throw error
  }
  // A service with PrivateTmp= has another /tmp than the one who asks; its process leads there (proc_pid_root(5)).
  return connected(`/proc/${pid}/root${socket}`).catch(() => undefined)
}

/**
 * Writes `supervisor.json`, whole or not at all, into the place of none or of a dead server's. Returns what takes it away.
 * @throws BootError when a living server has it; of several that come at once, one gets it
 */
export async function claim(folder: string, own: Address, log: Log): Promise<() => Promise<void>> {
  const file = fileIn(folder)
  await mkdir(folder, { recursive: true })
  await withStartLock(
    folder,
    (level, message) => log[level](message),
    undefined,
    async () => {
      const found = await readAddress(folder)
      if (found && (await isTaken(found))) {
        throw new BootError(
          `The server of this project is already running (pid ${found.pid}). ` +
            "Stop it first, or load what has changed into it: npx trestle reload",
        )
      }
      if (found) await removeSocketPlace(found.socket)
      await writeWhole(file, `${JSON.stringify(own)}\n`)
    },
  )
  return async () => {
    const found = await readAddress(folder)
    if (found?.socket === own.socket) await rm(file, { force: true })
  }
}

async function isTaken(found: Address): Promise<boolean> {
  try {
    const connection = await reach(found)
    connection?.destroy()
    return connection !== undefined
  } catch {
    return true
  }
}

async function writeWhole(file: string, text: string): Promise<void> {
  const draft = `${file}.${randomBytes(6).toString("hex")}`
  try {
    await writeFile(draft, text, { mode: 0o600, flag: "wx" })
    await rename(draft, file)
  } finally {
    await rm(draft, { force: true })
  }
}

async function connected(path: string): Promise<Socket> {
  // What goes wrong later closes the connection, and that is what its users listen to.
  const connection = connect(path).on("error", () => {})
  await once(connection, "connect")
  return connection
}

const meansNobody = (error: unknown): boolean =>
  ["ENOENT", "ENOTDIR", "ECONNREFUSED"].includes((error as NodeJS.ErrnoException).code ?? "")
