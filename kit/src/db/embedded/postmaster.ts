/**
 * Starts PostgreSQL's first process ("postmaster"), waits until it is ready, and stops it.
 * `postmaster.pid` in the data names it: line 1 its process, 4 the port, 5 the socket's folder, 8 its state
 * (postgresql.org/docs/18/storage-file-layout.html; pidfile.h).
 */
import { type ChildProcess, spawn } from "node:child_process"
import { open, readFile, rename, stat } from "node:fs/promises"
import { join } from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { BootError } from "../../core/errors.ts"
import type { Binaries } from "./binaries.ts"
import type { Log } from "./log.ts"
import { asFullRoot, handOver, type Place } from "./place.ts"
import { isPostmasterOf, isRunning } from "./processes.ts"
import { settings } from "./settings.ts"

/** A PostgreSQL that runs, and where it listens. */
export interface Postmaster {
  pid: number
  data: string
  socketFolder: string
  port: number
}

/** What `postmaster.pid` says; a state of "ready" or "stopping" is written by the postmaster itself. */
export type PidFile = Omit<Postmaster, "data"> & { state: string }

const limits = {
  /** Recovery after a crash replays at most `max_wal_size`: seconds, minutes on a slow disk. */
  startMs: 300_000,
  fastStopMs: 30_000,
  immediateStopMs: 30_000,
  reportMs: 5_000,
  pollMs: 4,
  logBytes: 10 * 1024 * 1024,
}

export async function readPidFile(data: string): Promise<PidFile | undefined> {
  const text = await readFile(join(data, "postmaster.pid"), "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return ""
    throw error
  })
  const lines = text.split("\n").map((line) => line.trim())
  const pid = Number(lines[0])
  if (!(pid > 0)) return undefined
  return { pid, port: Number(lines[3]), socketFolder: lines[4] ?? "", state: lines[7] ?? "" }
}

/** How a server is started; `socketFolder` is empty and belongs to the account. */
export interface StartOptions {
  socketFolder: string
  maxConnections: number
  durable: boolean
  log: Log
  signal: AbortSignal | undefined
}

/**
 * Starts PostgreSQL on data that no process works on, and waits until it takes connections.
 * @throws BootError with the end of its log when it ends before
 */
export async function startPostmaster(place: Place, binaries: Binaries, data: string, options: StartOptions) {
  const logFile = await openLog(place)
  let child: ChildProcess
  try {
    child = spawn(
      binaries.postgres,
      ["-D", data, "-k", options.socketFolder, ...settings(binaries.major, options).flatMap((one) => ["-c", one])],
      {
        ...place.account,
        cwd: "/",
        env: binaries.environment,
        // A process group of its own: Ctrl-C in a terminal must not stop it before the server is done with it.
        detached: true,
        stdio: ["ignore", logFile.handle.fd, logFile.handle.fd],
      },
    )
    await asFullRoot(() => spawned(child))
  } finally {
    await logFile.handle.close()
  }
  child.unref()
  const pid = child.pid as number
  try {
    const found = await untilReady(pid, data, options.log, options.signal)
    return { pid, data, socketFolder: options.socketFolder, port: found.port }
  } catch (error) {
    if (isRunning(pid)) {
      child.kill("SIGINT")
      await untilGone({ pid, data }, limits.fastStopMs)
      throw error
    }
    throw new BootError(`PostgreSQL did not start on ${data}. ${await logFile.sinceStart()}`, { cause: error })
  }
}

/** Waits until the postmaster takes connections; rejects when it ends, at the limit, and when `signal` says so. */
export async function untilReady(pid: number, data: string, log: Log, signal?: AbortSignal): Promise<PidFile> {
  const begin = performance.now()
  let reportAt = begin + limits.reportMs
  for (;;) {
    const found = await readPidFile(data)
    if (found?.pid === pid && found.state === "ready") return found
    if (!isRunning(pid)) throw new Error(`process ${pid} ended`)
    const passed = performance.now() - begin
    if (passed > limits.startMs) {
      throw new BootError(
        `PostgreSQL (process ${pid}) on ${data} is not ready after ${limits.startMs / 60_000} minutes. ` +
          `Look into postgres.log beside it, and start again: what it has recovered stays recovered.`,
      )
    }
    if (performance.now() > reportAt) {
      reportAt += limits.reportMs
      log("info", `PostgreSQL is recovering from a crash, for ${Math.round(passed / 1000)} s now; nothing is lost.`)
    }
    await pause(limits.pollMs, undefined, { signal })
  }
}

/** Stops PostgreSQL: open transactions are rolled back, all is on the disk when it ends. Nothing to do when it is gone. */
export async function stopPostmaster(running: Postmaster, log: Log): Promise<void> {
  for (const [signal, limitMs] of [
    ["SIGINT", limits.fastStopMs],
    ["SIGQUIT", limits.immediateStopMs],
  ] as const) {
    if (!isPostmasterOf(running.pid, running.data)) return
    send(running.pid, signal)
    if (await untilGone(running, limitMs)) return
    log("warn", `PostgreSQL (process ${running.pid}) did not end within ${limitMs / 1000} s after ${signal}.`)
  }
}

/** True once the process is gone, false at the limit. */
export async function untilGone(running: Pick<Postmaster, "pid" | "data">, limitMs: number): Promise<boolean> {
  const end = performance.now() + limitMs
  while (isRunning(running.pid)) {
    if (performance.now() > end) return false
    await pause(limits.pollMs)
  }
  return true
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error
  }
}

/** Resolves when the program runs, rejects when it could not be started. */
function spawned(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once("spawn", resolve)
    child.once("error", reject)
  })
}

/** The log of the server, `postgres.log` beside the data; a full one becomes `postgres.log.1`. */
async function openLog(place: Place) {
  const path = join(place.folder, "postgres.log")
  const size = await stat(path).then(
    (entry) => entry.size,
    () => 0,
  )
  if (size > limits.logBytes) await rename(path, `${path}.1`)
  const handle = await open(path, "a", 0o600)
  await handOver(path, place.account)
  const start = (await handle.stat()).size
  const sinceStart = async () => {
    const lines = (await readFile(path)).subarray(start).toString().trim().split("\n")
    return `Its last words (${path}):\n${lines.slice(-12).join("\n")}`
  }
  return { handle, sinceStart }
}
