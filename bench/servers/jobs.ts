/** Trestle's job worker, or whoever sends it jobs, as `trestle start` has them: its log in a file. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { job, Type } from "trestle"
import { openCapabilities } from "../../kit/src/capabilities.ts"
import { databaseSettings } from "../../kit/src/cli/database.ts"
import { loadConfig } from "../../kit/src/core/config/index.ts"
import { openLog } from "../../kit/src/core/log/open.ts"
import { type DatabaseAddress, openDatabase } from "../../kit/src/db/database.ts"
import { declareJobs, openBoss } from "../../kit/src/jobs/boss.ts"
import { openJobConnections } from "../../kit/src/jobs/connections.ts"
import { JobWorker } from "../../kit/src/jobs/job-worker.ts"
import { serveJobs } from "./job-subject.ts"

const folder = mkdtempSync(join(tmpdir(), "trestle-bench-"))
process.on("exit", () => rmSync(folder, { recursive: true, force: true }))

const address = JSON.parse(process.env.BENCH_DATABASE!) as DatabaseAddress
const config = loadConfig({ folder: "/nonexistent", env: {} })
const { log } = openLog(config.logging, { folder })
const settings = databaseSettings(config)
const database = openDatabase(address, settings, log)

let ran: (at: number) => void = () => {}
const noop = (concurrency: number) =>
  job("noop", { data: Type.Object({ at: Type.Number() }), concurrency }, ({ data }) => ran(data.at))
const one = noop(10)
const app = { name: "bench", routes: {}, jobs: [one], folder }
await declareJobs(database, app.jobs, log)
const { jobs, context } = openCapabilities({ app, config, mode: "production", database, log })

serveJobs({
  async fill(count) {
    const boss = await openBoss(database.pool, { supervises: false, schedules: false }, log)
    const at = 0
    await boss.insert("noop", Array(count).fill({ data: { at } }))
    await boss.stop({ graceful: false })
  },
  send: async (at) => void (await jobs.send(one, { at })),
  async work(concurrency, heard) {
    ran = heard
    const all = [noop(concurrency)]
    const worker = await JobWorker.start({
      database: openJobConnections(address, settings, log),
      jobs: all,
      context,
      log,
      blockTimeoutMs: config.workers.block_timeout,
      runs: "crowd",
    })
    return () => worker.stop(10_000)
  },
})
