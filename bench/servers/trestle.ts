/** The example application as a server to measure: in production, all behaviours on, its log in a file. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import app from "../../app/app.ts"
import { databaseSettings } from "../../kit/src/cli/database.ts"
import { loadConfig } from "../../kit/src/core/config/index.ts"
import { openLog } from "../../kit/src/core/log/open.ts"
import { type DatabaseAddress, openDatabase } from "../../kit/src/db/database.ts"
import { createServer } from "../../kit/src/server.ts"

const folder = mkdtempSync(join(tmpdir(), "trestle-bench-"))
process.on("exit", () => rmSync(folder, { recursive: true, force: true }))

const address = JSON.parse(process.env.BENCH_DATABASE!) as DatabaseAddress
const config = loadConfig({ folder: "/nonexistent", env: JSON.parse(process.env.BENCH_SETTINGS ?? "{}") })
const { log } = openLog(config.logging, { folder })
const database = openDatabase(address, databaseSettings(config), log)
const server = await createServer({ app, config, mode: "production", database, log })
await server.listen({ host: "127.0.0.1", port: 0 })

process.on("message", () => process.send?.(process.cpuUsage()))
process.send?.({ port: (server.server.address() as { port: number }).port })
