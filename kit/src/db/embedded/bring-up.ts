/** Makes the database of a folder run: adopts the one that runs, or creates what is missing and starts it. */
import { readdir, rm } from "node:fs/promises"
import { join } from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { BootError } from "../../core/errors.ts"
import { type Binaries, type BinarySources, findBinaries } from "./binaries.ts"
import { createCluster, removeLeftovers } from "./cluster.ts"
import type { Log } from "./log.ts"
import { majorsIn, type Place } from "./place.ts"
import { type Postmaster, readPidFile, startPostmaster, stopPostmaster, untilGone, untilReady } from "./postmaster.ts"
import { isPostmasterOf } from "./processes.ts"
import { makeSocketFolder, removeSocketFolder } from "./socket-folder.ts"

/** What {@link bringUp} takes. */
export interface BringUpOptions {
  maxConnections: number
  durable: boolean
  sources: BinarySources | undefined
  log: Log
  /** The socket folder of before, when this is a restart. */
  socketFolder?: string | undefined
  /** Ends the waiting; a server that was started here is stopped then. */
  signal?: AbortSignal | undefined
}

/** A running database and how it came to run. */
export interface Running extends Postmaster {
  /** True when it ran already. */
  adopted: boolean
  /** True when there was no data before. */
  created: boolean
  /** Milliseconds: finding or copying the binaries, creating the data, starting (or waiting for) the server. */
  timings: { binariesMs: number; initdbMs: number; startMs: number }
}

/** Backends of a killed postmaster take a moment to notice; until then a new one refuses to start. */
const orphansLimitMs = 30_000

/** Call it under the start lock: then nobody else starts, creates or clears away anything in this folder. */
export async function bringUp(place: Place, options: BringUpOptions): Promise<Running> {
  const begin = performance.now()
  const nothing = { binariesMs: 0, initdbMs: 0 }
  for (const major of await majorsIn(place.folder)) {
    const found = await adopt(join(place.folder, String(major)), options)
    if (found) return { ...found, adopted: true, created: false, timings: { ...nothing, startMs: since(begin) } }
  }
  await removeLeftovers(place)
  const binaries = await findBinaries(place, options.sources)
  const binariesMs = since(begin)
  const created = (await majorsIn(place.folder)).length === 0
  const initdbBegin = performance.now()
  if (created) await createCluster(place, binaries, options.durable)
  const initdbMs = created ? since(initdbBegin) : 0
  const startBegin = performance.now()
  const started = await start(place, binaries, options)
  await removeOtherRuntimes(place, binaries)
  const timings = { binariesMs, initdbMs, startMs: since(startBegin) }
  return { ...started, adopted: false, created, timings }
}

/** The server that works on the data, once it is ready; undefined when there is none, and then its remains are gone. */
async function adopt(data: string, options: BringUpOptions): Promise<Postmaster | undefined> {
  const file = await readPidFile(data)
  if (!file) return undefined
  if (isPostmasterOf(file.pid, data)) {
    if (file.state !== "stopping") {
      const ready = await untilReady(file.pid, data, options.log, options.signal)
      return { pid: ready.pid, data, socketFolder: ready.socketFolder, port: ready.port }
    }
    await untilGone({ pid: file.pid, data }, orphansLimitMs)
  } else options.log("info", "The database was killed, and recovers now: nothing that was committed is lost.")
  // The file outlived its server. PostgreSQL would clear it away by itself, unless the process id now is that of another
  // process of the same user: then it refuses to start. Nobody else can have written a newer one: we hold the start lock.
  await rm(join(data, "postmaster.pid"), { force: true })
  return undefined
}

async function start(place: Place, binaries: Binaries, options: BringUpOptions): Promise<Postmaster> {
  const data = join(place.folder, String(binaries.major))
  const socketFolder = await makeSocketFolder(place, options.socketFolder)
  const end = performance.now() + orphansLimitMs
  try {
    for (;;) {
      try {
        return await startPostmaster(place, binaries, data, {
          socketFolder,
          maxConnections: options.maxConnections,
          durable: options.durable,
          log: options.log,
          signal: options.signal,
        })
      } catch (error) {
        const hasOrphans = error instanceof BootError && error.message.includes("pre-existing shared memory block")
        if (!hasOrphans || performance.now() > end) throw error
        await pause(10, undefined, { signal: options.signal })
      }
    }
  } catch (error) {
    await removeSocketFolder(place)
    throw error
  }
}

/** Stops a database and clears its socket's folder away. */
export async function bringDown(place: Place, running: Postmaster, log: Log): Promise<void> {
  await stopPostmaster(running, log)
  await removeSocketFolder(place)
}

/** Copies of the binaries from before an update; the server that ran from them is gone. */
async function removeOtherRuntimes(place: Place, binaries: Binaries): Promise<void> {
  for (const name of await readdir(place.folder)) {
    const path = join(place.folder, name)
    if (!name.startsWith("runtime-") || path === binaries.runtime) continue
    await rm(path, { recursive: true, force: true }).catch(() => {}) // it only takes room
  }
}

/** Whole milliseconds that passed since a reading of `performance.now()`. */
function since(begin: number): number {
  return Math.round(performance.now() - begin)
}
