/** The example application as a server to measure: in production, all behaviours on, its log in a file. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { monitorEventLoopDelay } from "node:perf_hooks"
import app from "../../app/app.ts"
import { jobsOf, openCapabilities } from "../../kit/src/capabilities.ts"
import { databaseSettings } from "../../kit/src/cli/database.ts"
import { loadConfig } from "../../kit/src/core/config/index.ts"
import { openLog } from "../../kit/src/core/log/open.ts"
import { type DatabaseAddress, openDatabase } from "../../kit/src/db/database.ts"
import { declareJobs } from "../../kit/src/jobs/boss.ts"
import { createServer } from "../../kit/src/server.ts"
import { startWatchdog } from "../../kit/src/supervisor/watchdog.ts"
import { behindSession } from "./session-routes.ts"

const folder = mkdtempSync(join(tmpdir(), "trestle-bench-"))

const address = JSON.parse(process.env.BENCH_DATABASE!) as DatabaseAddress
const config = loadConfig({ folder: "/nonexistent", env: JSON.parse(process.env.BENCH_SETTINGS ?? "{}") })
const { log } = openLog(config.logging, { folder })
// After the log, whose last lines come at the exit too. A signal alone would leave the folder.
process.on("exit", () => rmSync(folder, { recursive: true, force: true }))
process.on("SIGTERM", () => process.exit())
const database = openDatabase(address, databaseSettings(config), log)
const routes = { ...app.routes, "/bench": behindSession }
// Who signs up is sent a mail, by a job.
await declareJobs(database, jobsOf(app), log)
const capabilities = openCapabilities({ app, config, mode: "production", database, log })
const server = await createServer({ app: { ...app, routes }, config, mode: "production", database, capabilities, log })
if (process.env.BENCH_WATCHDOG) {
  startWatchdog({ blockTimeoutMs: config.workers.block_timeout, folder: process.cwd(), report: undefined })
}
await server.listen({ host: "127.0.0.1", port: 0 })

const delay = monitorEventLoopDelay({ resolution: 1 })
delay.enable()
process.on("message", (message) => {
  // In milliseconds; the resolution is in what the histogram counts.
  const delays = { p50: delay.percentile(50) / 1e6, p99: delay.percentile(99) / 1e6, max: delay.max / 1e6 }
  process.send?.({ ...process.cpuUsage(), delays })
  if (message === "delays") delay.reset()
})
process.send?.({ port: (server.server.address() as { port: number }).port })
// Whoever measures may be killed.
process.on("disconnect", () => process.exit())
