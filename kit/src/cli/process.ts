/** What every process below the supervisor does, whatever its work: reads the application and the settings, begins, and ends. */
import { availableParallelism } from "node:os"
import { monitorEventLoopDelay } from "node:perf_hooks"
import type { App } from "../app.ts"
import type { Config } from "../core/config/index.ts"
import { BootError } from "../core/errors.ts"
import { type OpenLog, openLog } from "../core/log/open.ts"
import type { DatabaseAddress } from "../db/database.ts"
import { warnOfNoMailServer } from "../mail/settings.ts"
import type { Settings, Vitals } from "../supervisor/messages.ts"
import { startWatchdog } from "../supervisor/watchdog.ts"
import { WorkerChannel } from "../supervisor/worker-channel.ts"
import { prepareDatabase } from "./prepare-database.ts"
import { findProject, loadApp, type Project } from "./project.ts"
import { configOf } from "./project-config.ts"
import { samplePath } from "./sample-curl.ts"

/** How often a process tells of itself. */
const vitalsEveryMs = 500
/** The pipe to the supervisor for what the watchdog has to say: the first descriptor after those of Node's channel. */
const reportFd = 4

export type ProcessMode = "production" | "development"

/** What a process has when it begins. */
export interface Begun {
  channel: WorkerChannel
  project: Project
  app: App
  config: Config
  mode: ProcessMode
  opened: OpenLog
  address: DatabaseAddress
  /** When the windows of limits are counted from. */
  windowsFrom: number
}

/** Runs `work` until it settles: until the supervisor says that it is enough, or is no longer there. */
export async function runProcess(mode: ProcessMode, work: (begun: Begun) => Promise<void>): Promise<void> {
  const channel = new WorkerChannel()
  // Whoever signals the whole group means the supervisor, which tells its processes.
  for (const signal of ["SIGINT", "SIGHUP"] as const) process.on(signal, () => {})
  process.on("SIGTERM", () => channel.send({ type: "tired", why: "SIGTERM" }))
  try {
    const project = findProject()
    const app = await loadApp(project)
    const config = configOf(project, app, mode)
    channel.send({ type: "settings", settings: settingsOf(app, config, mode) })
    await using opened = openLog(config.logging, { folder: project.folder, name: app.name })
    const { address, migrations, windowsFrom } = await channel.once("begin")
    if (migrations !== "done") {
      const apply = migrations === "apply"
      await prepareDatabase(address, { app, config, log: opened.log, apply, processes: poolsOf(config, mode) })
      if (mode === "production") warnOfNoMailServer(config, opened.log)
    }
    channel.send({ type: "migrated" })
    await work({ channel, project, app, config, mode, opened, address, windowsFrom })
  } catch (error) {
    const isFinal = error instanceof BootError
    const reason = isFinal ? error.message : ((error as Error)?.stack ?? String(error))
    channel.send({ type: "failed", reason, isFinal })
    process.exitCode = 1
  } finally {
    await channel.close()
  }
}

/** Watches the event loop, until it is stopped. */
export const watch = ({ config, project }: Begun) =>
  startWatchdog({ blockTimeoutMs: config.workers.block_timeout, folder: project.folder, report: reportFd })

/** Tells the supervisor how the process is, until it is disposed of. */
export function tellVitals(
  channel: WorkerChannel,
  own: () => Promise<Pick<Vitals, "connections" | "requests" | "answered">>,
): Disposable {
  const delay = monitorEventLoopDelay({ resolution: 20 })
  delay.enable()
  const tell = async () => {
    // In milliseconds; the histogram counts in nanoseconds.
    const vitals = { ...(await own()), memory: process.memoryUsage.rss(), delay: delay.max / 1e6 }
    delay.reset()
    channel.send({ type: "vitals", vitals })
  }
  // Before it does anything: what it takes by itself.
  void tell()
  const timer = setInterval(tell, vitalsEveryMs)
  return {
    [Symbol.dispose]() {
      clearInterval(timer)
      delay.disable()
    },
  }
}

/** How many processes there are of each kind. In development there is one, which does everything. */
function countsOf({ workers }: Config, mode: ProcessMode): Settings["processes"] {
  if (mode === "development") return { web: 1, job: 0 }
  return { web: workers.web ?? availableParallelism(), job: workers.jobs }
}

/** How many have a pool of connections to the database. */
function poolsOf(config: Config, mode: ProcessMode): number {
  const { web, job } = countsOf(config, mode)
  return web + job
}

function settingsOf(app: App, config: Config, mode: ProcessMode): Settings {
  const { server, workers, database, logging } = config
  return {
    app: app.name ?? "app",
    server: { host: server.host, port: server.port },
    workers,
    database: { url: database.url, pool_size: database.pool_size },
    logging,
    programs: app.programs ?? {},
    sample: samplePath(app),
    processes: countsOf(config, mode),
  }
}
