/** A process that runs background jobs, below `trestle start` or `trestle worker`. */
import { type Capabilities, jobsOf, openCapabilities } from "../capabilities.ts"
import { showInFlight } from "../core/in-flight.ts"
import { openDatabase } from "../db/database.ts"
import { openJobConnections, ownConnections } from "../jobs/connections.ts"
import { JobWorker, type JobWorkerOptions } from "../jobs/job-worker.ts"
import { transportOf } from "../mail/settings.ts"
import { databaseSettings } from "./database.ts"
import { type Begun, runProcess, tellVitals, watch } from "./process.ts"
import { redisOf } from "./redis.ts"

/** One that runs jobs alone goes when there have been none for so long, in milliseconds. */
const idleAloneMs = 10_000

/** The command of that name, and `alone-worker`, which runs those that may have ended their process, one by one. */
export const jobWorker = (runs: "crowd" | "alone"): Promise<void> =>
  runProcess("production", (begun) => run(begun, runs))

async function run(begun: Begun, runs: "crowd" | "alone"): Promise<void> {
  const { channel, project, app, config, mode, opened, address } = begun
  const { log } = opened
  const transport = transportOf(config, mode, project.folder)
  const settings = databaseSettings(config)
  // Together they are as many as another process has.
  const poolSize = Math.max(1, settings.poolSize - ownConnections)
  const database = openDatabase(address, { ...settings, poolSize }, log)
  const redis = await redisOf(app, config, log)
  const capabilities = openCapabilities({ app, config, mode, database, redis, transport, log })
  const watchdog = watch(begun)
  const jobs = await startJobs(begun, capabilities, runs)

  const { promise: ended, resolve: end } = Promise.withResolvers<void>()
  const drain = (limitMs: number) => jobs.stop(limitMs).then(end)
  channel.on("drain", ({ limitMs }) => void drain(limitMs))
  channel.whenLost(() => void drain(config.workers.stop_timeout))
  opened.flush()
  using _vitals = tellVitals(channel, async () => {
    if (runs === "alone" && jobs.idleMs > idleAloneMs) channel.send({ type: "finished" })
    const { running, ended } = jobs.counts
    return { connections: 0, requests: running, answered: ended }
  })
  channel.send({ type: "ready" })
  await ended
  await capabilities.close()
  await redis?.close()
  await database.close()
  await watchdog.stop()
}

/** Begins to run jobs in this process. */
export async function startJobs(
  { channel, app, config, opened, address }: Begun,
  { context }: Capabilities,
  runs: JobWorkerOptions["runs"],
): Promise<JobWorker> {
  const worker = await JobWorker.start({
    database: openJobConnections(address, databaseSettings(config), opened.log),
    jobs: jobsOf(app),
    context,
    log: opened.log,
    blockTimeoutMs: config.workers.block_timeout,
    runs,
    onSuspects: () => channel.send({ type: "suspects" }),
    onStuck: (why) => channel.send({ type: "tired", why }),
  })
  showInFlight(() => worker.inFlight, "jobs")
  return worker
}
