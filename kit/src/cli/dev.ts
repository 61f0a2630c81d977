/**
 * `trestle dev`: the server, in development. This process keeps the embedded database; the server is a child, begun anew at each
 * change. Only the child reads the application and the settings, so that a mistake in them ends nothing but the child, until
 * the next change.
 */
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { dirname, join, relative } from "node:path"
import { BootError } from "../core/errors.ts"
import { Log } from "../core/log.ts"
import type { DatabaseAddress } from "../db/database.ts"
import { NextChange, type Watched } from "./changes.ts"
import { type Located, type OwnSettings, ownDatabase } from "./database.ts"
import { findProject, loadApp, type Project } from "./project.ts"
import { configOf, prepareDatabase, sampleCurl, serve, serverLog, stopOnSignal } from "./server.ts"

/** A server that has not ended by then, in an endless loop perhaps, is killed. */
const patienceMs = 5_000

export async function dev(): Promise<void> {
  const project = findProject()
  const log = new Log("info", "dev")
  const stop = stopOnSignal(log)
  let database: Promise<Located> | undefined
  const lend = async (server: ChildProcess, settings: OwnSettings) => {
    try {
      database ??= ownDatabase(project, settings, log, stop.ask)
      server.send((await database).address, () => {}) // it may have ended meanwhile
    } catch (error) {
      database = undefined
      log.error(error instanceof BootError ? error.message : error)
      dismiss(server)
    }
  }

  try {
    for (;;) {
      // Watched from before the server reads its files.
      using change = new NextChange(watchedOf(project))
      const server = fork(process.argv[1]!, ["dev-server"], { cwd: project.folder })
      server.on("message", (settings: OwnSettings) => lend(server, settings))
      const ended = once(server, "exit")
      const next = Promise.race([change.file, stop.asked])
      await Promise.race([next, ended])
      if (hasEnded(server)) log.warn("The server has ended. It starts again at the next change.")

      const file = await next
      if (file) log.info(`${relative(project.folder, file)} changed: starting again.`)
      dismiss(server)
      const limit = setTimeout(() => server.kill("SIGKILL"), patienceMs)
      await ended
      clearTimeout(limit)
      if (!file) break
    }
  } finally {
    await (await database)?.stop()
  }
}

/** Asks the server to end. */
function dismiss(server: ChildProcess): void {
  if (server.connected) server.disconnect()
}

const hasEnded = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode !== null || signalCode !== null

/** The application and its settings; in the kit's own repository the kit too. */
function watchedOf({ folder, main }: Project): Watched {
  const inFolder = (...names: string[]) => names.map((name) => join(folder, name))
  const kit = dirname(import.meta.dirname)
  const isOwn = kit.startsWith(join(folder, "kit"))
  return {
    trees: [dirname(main), ...(isOwn ? [kit] : [])],
    files: inFolder("config.json", ".env"),
    except: inFolder("data", "logs"),
  }
}

/** The child of {@link dev}: the server itself. It ends when the parent closes the channel between them, or dies. */
export async function devServer(): Promise<void> {
  const project = findProject()
  const app = await loadApp(project)
  const config = configOf(project, app, "development")
  await using opened = serverLog(project, app, config)
  const { log } = opened
  const stop = stopOnSignal(log)
  process.once("disconnect", stop.ask)
  if (!process.connected) return

  const { url, pool_size } = config.database
  try {
    const address = url ? { url } : await Promise.race([borrowDatabase({ pool_size }), stop.asked])
    if (!address) return
    await prepareDatabase(address, { app, config, log, apply: true, processes: 1 })
    const running = await serve(address, { project, app, config, log, mode: "development" })
    log.info(`Development at ${running.url}. Try: ${sampleCurl(running, app)}`)
    await stop.asked
    await running.stop()
  } finally {
    // The channel would keep a process that has nothing else to do.
    if (process.connected) process.disconnect()
  }
}

/** The embedded database, which the parent keeps. */
async function borrowDatabase(settings: OwnSettings): Promise<DatabaseAddress> {
  process.send!(settings, undefined, undefined, () => {}) // the parent may have closed the channel: `disconnect` tells
  const [address] = await once(process, "message")
  return address
}
