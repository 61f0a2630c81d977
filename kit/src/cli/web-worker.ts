/** A process that answers requests, below `trestle start`. It reads the application and the settings; the supervisor does not. */
import { availableParallelism } from "node:os"
import { monitorEventLoopDelay } from "node:perf_hooks"
import type { App } from "../app.ts"
import type { Config } from "../core/config/index.ts"
import { BootError } from "../core/errors.ts"
import type { OpenLog } from "../core/log/open.ts"
import { Acceptor } from "../http/accept.ts"
import type { RequestCounts } from "../http/requests.ts"
import type { Settings } from "../supervisor/messages.ts"
import { startWatchdog } from "../supervisor/watchdog.ts"
import { WorkerChannel } from "../supervisor/worker-channel.ts"
import { findProject, loadApp, type Project } from "./project.ts"
import { configOf, openServer, prepareDatabase, samplePath, serverLog, trustFor } from "./server.ts"

/** How often a process tells of itself. */
const vitalsEveryMs = 500
/** How often it tells of its connections, when their number changed: what the balance is kept by. */
const connectionsEveryMs = 125
/** The pipe to the supervisor for what the watchdog has to say: the first descriptor after those of Node's channel. */
const reportFd = 4

/** The command of that name, and `dev-worker`, the same in development. */
export async function webWorker(mode: "production" | "development"): Promise<void> {
  const channel = new WorkerChannel()
  // Whoever signals the whole group means the supervisor, which tells its processes.
  for (const signal of ["SIGINT", "SIGHUP"] as const) process.on(signal, () => {})
  process.on("SIGTERM", () => channel.send({ type: "tired", why: "SIGTERM" }))
  try {
    const project = findProject()
    const app = await loadApp(project)
    const config = configOf(project, app, mode)
    channel.send({ type: "settings", settings: settingsOf(app, config, mode) })
    await using opened = serverLog(project, app, config)
    await run(channel, { project, app, config, mode, opened })
  } catch (error) {
    const isFinal = error instanceof BootError
    const reason = isFinal ? error.message : ((error as Error)?.stack ?? String(error))
    channel.send({ type: "failed", reason, isFinal })
    process.exitCode = 1
  } finally {
    await channel.close()
  }
}

interface Loaded {
  project: Project
  app: App
  config: Config
  mode: "production" | "development"
  opened: OpenLog
}

/** Answers requests until the supervisor says that it is enough, or is no longer there. */
async function run(channel: WorkerChannel, { project, app, config, mode, opened }: Loaded): Promise<void> {
  const { log } = opened
  const { address, migrations, windowsFrom } = await channel.once("begin")
  if (migrations !== "done") {
    const apply = migrations === "apply"
    await prepareDatabase(address, { app, config, log, apply, processes: countOf(config, mode) })
  }
  let isDraining = false
  const { server, tls, close } = await openServer(
    address,
    { project, app, config, log, mode },
    {
      process: process.env.TRESTLE_PROCESS!,
      isDraining: () => isDraining,
      // One alone has all of each limit.
      limits: mode === "production" ? channel.limits(windowsFrom) : undefined,
    },
  )
  const acceptor = new Acceptor(server)
  const { block_timeout: blockTimeoutMs } = config.workers
  const watchdog = startWatchdog({ blockTimeoutMs, folder: project.folder, report: reportFd })

  const { promise: ended, resolve: end } = Promise.withResolvers<void>()
  const drain = (limitMs: number, hasSuccessor: boolean) => {
    if (isDraining) return
    isDraining = true
    acceptor.end({ limitMs, hasSuccessor }).then(end)
  }
  channel.on("drain", ({ limitMs, hasSuccessor }) => drain(limitMs, hasSuccessor))
  channel.on("shed", ({ connections }) => {
    if (connections > 0) acceptor.shed(connections)
    else if (!isDraining) channel.send({ type: "sockets" })
  })
  channel.onListen((sockets) => {
    if (isDraining) return
    acceptor.listen(sockets).then(
      () => channel.send({ type: "ready" }),
      (error: Error) => channel.send({ type: "failed", reason: error.message, isFinal: true }),
    )
  })
  // What was logged until now comes before the words of the supervisor.
  opened.flush()
  channel.send({ type: "prepared", isTls: tls !== undefined, trust: trustFor(tls) })
  using _telling = tellOf(channel, acceptor, () => server.requests)
  // Who comes now is answered; nobody would take its place.
  channel.whenLost(() => drain(config.workers.stop_timeout, false))
  await ended
  await close()
  await watchdog.stop()
}

/** Tells the supervisor how the process is, until it is disposed of. */
function tellOf(channel: WorkerChannel, acceptor: Acceptor, requests: () => RequestCounts): Disposable {
  const delay = monitorEventLoopDelay({ resolution: 20 })
  delay.enable()
  let told = -1
  const vitals = setInterval(async () => {
    const { inFlight, answered } = requests()
    const connections = await acceptor.connections()
    // In milliseconds; the histogram counts in nanoseconds.
    const vitals = {
      connections,
      requests: inFlight,
      answered,
      memory: process.memoryUsage.rss(),
      delay: delay.max / 1e6,
    }
    delay.reset()
    channel.send({ type: "vitals", vitals })
  }, vitalsEveryMs)
  const connections = setInterval(async () => {
    const now = await acceptor.connections()
    if (now !== told) channel.send({ type: "connections", connections: now })
    told = now
  }, connectionsEveryMs)
  return {
    [Symbol.dispose]() {
      clearInterval(vitals)
      clearInterval(connections)
      delay.disable()
    },
  }
}

/** How many processes answer requests, and so have a pool of connections to the database. */
const countOf = ({ workers }: Config, mode: "production" | "development"): number =>
  mode === "development" ? 1 : (workers.web ?? availableParallelism())

function settingsOf(app: App, config: Config, mode: "production" | "development"): Settings {
  const { server, workers, database, logging } = config
  return {
    app: app.name ?? "app",
    server: { host: server.host, port: server.port },
    workers,
    database: { url: database.url, pool_size: database.pool_size },
    logging,
    programs: app.programs ?? {},
    sample: samplePath(app),
    processes: countOf(config, mode),
  }
}
