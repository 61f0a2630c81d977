/** graphile-worker on PostgreSQL: its worker, or whoever sends it jobs. With BENCH_TUNED as its documentation makes it fast. */
import { Logger, makeWorkerUtils, run } from "graphile-worker"
import pg from "pg"
import { serveJobs } from "../servers/job-subject.ts"

const pgPool = new pg.Pool({ ...JSON.parse(process.env.BENCH_PG), max: 12 })
pgPool.on("error", () => {})
pgPool.on("connect", (client) => client.on("error", () => {}))
const logger = new Logger(() => () => {})
const utils = await makeWorkerUtils({ pgPool, logger })
await utils.migrate()

/** @see https://worker.graphile.org/docs/performance */
const tuned = (concurrency) =>
  process.env.BENCH_TUNED
    ? { localQueue: { size: concurrency * 5 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 }
    : {}

serveJobs({
  async fill(count) {
    await utils.addJobs(Array.from({ length: count }, () => ({ identifier: "noop", payload: { at: 0 } })))
  },
  send: (at) => utils.addJob("noop", { at }),
  async work(concurrency, ran) {
    const runner = await run({
      pgPool,
      logger,
      noHandleSignals: true,
      taskList: { noop: async ({ at }) => ran(at) },
      preset: { worker: { concurrentJobs: concurrency, ...tuned(concurrency) } },
      concurrency,
    })
    return () => runner.stop()
  },
})
