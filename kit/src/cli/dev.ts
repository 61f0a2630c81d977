/**
 * `trestle dev`: the server, in development. This process keeps the embedded database and the sockets; the server is a process
 * below it, begun anew at each change, while whoever calls it waits. Only that one reads the application and the settings, so
 * that a mistake in them ends nothing but it, until the next change.
 */
import { dirname, join, relative } from "node:path"
import { BootError } from "../core/errors.ts"
import { Log } from "../core/log.ts"
import { urlOf } from "../core/server-url.ts"
import { blockedText } from "../supervisor/blocked-text.ts"
import type { Settings } from "../supervisor/messages.ts"
import { type BoundSockets, bindSockets } from "../supervisor/sockets.ts"
import { WorkerProcess } from "../supervisor/worker-process.ts"
import { NextChange, type Watched } from "./changes.ts"
import { type Located, ownDatabase } from "./locate-database.ts"
import { findProject, type Project } from "./project.ts"
import { sampleCurl } from "./sample-curl.ts"
import { stopOnSignal } from "./stop-on-signal.ts"

/** For so long a server may answer what it has, when a file has changed. */
const patienceMs = 2000

/** What outlives the server: made when its first process has said what it needs. */
interface Lent {
  database?: Promise<Located> | undefined
  sockets?: { place: string; bound: BoundSockets } | undefined
}

export async function dev(): Promise<void> {
  const project = findProject()
  const log = new Log("info", "dev")
  const stop = stopOnSignal(log)
  const lent: Lent = {}
  try {
    for (;;) {
      // Watched from before the server reads its files.
      using change = new NextChange(watchedOf(project))
      const server = new WorkerProcess({
        name: "dev",
        command: "dev-worker",
        folder: project.folder,
        user: undefined,
        heard(server, message) {
          if (message.type === "tired") dismiss(server)
          else if (message.type === "failed") process.stderr.write(`${message.reason}\n`)
        },
        blocked: (server, report) => process.stderr.write(`${blockedText(server, report)}\n`),
      })
      attend(server, lent, { project, log, onLost: stop.ask }).catch((error) => {
        if (server.state !== "ended") log.error(error instanceof BootError ? error.message : error)
        dismiss(server)
      })
      const next = Promise.race([change.file, stop.asked])
      await Promise.race([next, server.ended])
      if (server.state === "ended") log.warn("The server has ended. It starts again at the next change.")

      const file = await next
      if (file) log.info(`${relative(project.folder, file)} changed: starting again.`)
      dismiss(server)
      await server.ended
      if (!file) break
    }
  } finally {
    lent.sockets?.bound.close()
    await (await lent.database?.catch(() => undefined))?.stop()
  }
}

interface Surroundings {
  project: Project
  log: Log
  onLost(): void
}

/** Gives a process what it needs, and says where it is when it answers. */
async function attend(server: WorkerProcess, lent: Lent, { project, log, onLost }: Surroundings): Promise<void> {
  const settings = await server.settings
  const { address } = await databaseOf(settings, lent, { project, log, onLost })
  const { port, handles } = await socketsOf(settings, lent)
  server.send({ type: "begin", address, migrations: "apply", windowsFrom: 0 })
  const { isTls, trust } = await server.prepared
  server.listen(handles)
  await server.ready
  const url = urlOf(settings.server.host, port, isTls)
  log.info(`Development at ${url}. Try: ${sampleCurl(url, trust, settings.sample)}`)
}

async function databaseOf({ database }: Settings, lent: Lent, { project, log, onLost }: Surroundings) {
  if (database.url) return { address: { url: database.url } }
  lent.database ??= ownDatabase(project, database, log, onLost)
  return lent.database.catch((error) => {
    // The next process tries again.
    lent.database = undefined
    throw error
  })
}

/** The same sockets for every process, as long as the settings name the same place. */
async function socketsOf({ server: { host, port } }: Settings, lent: Lent): Promise<BoundSockets> {
  const place = `${host}:${port}`
  if (lent.sockets?.place !== place) {
    lent.sockets?.bound.close()
    lent.sockets = undefined
    lent.sockets = { place, bound: await bindSockets(host, port) }
  }
  return lent.sockets.bound
}

/** Asks the server to end. One that does not, in an endless loop perhaps, is killed. */
function dismiss(server: WorkerProcess): void {
  if (server.state === "starting") server.kill("it is begun anew")
  else server.drain({ limitMs: patienceMs, hasSuccessor: false })
}

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
