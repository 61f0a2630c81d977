/** Trestle with a folder of static files and nothing else, in production; its requests are logged to nowhere. */
import { openCapabilities } from "../../kit/src/capabilities.ts"
import { loadConfig } from "../../kit/src/core/config/index.ts"
import { Log } from "../../kit/src/core/log.ts"
import { openDatabase } from "../../kit/src/db/database.ts"
import { createServer } from "../../kit/src/server.ts"

const config = loadConfig({ folder: "/nonexistent", env: JSON.parse(process.env.BENCH_SETTINGS ?? "{}") })
const log = new Log("info", "server", () => {})
// No static file asks the database.
const nothing = {
  poolSize: 1,
  connectTimeoutMs: 1,
  statementTimeoutMs: 1,
  idleInTransactionTimeoutMs: 1,
  preparedStatements: false,
  logSql: false as const,
}
const database = openDatabase({ url: "postgres://nobody@127.0.0.1:1/none" }, nothing, log)
const app = { folder: process.env.BENCH_FOLDER!, routes: {} }
const capabilities = openCapabilities({ app, config, mode: "production", database, log })
const server = await createServer({ app, config, mode: "production", database, capabilities, log })
await server.listen({ host: "127.0.0.1", port: 0 })

process.on("message", () => process.send?.(process.cpuUsage()))
process.send?.({ port: (server.server.address() as { port: number }).port })
// Whoever measures may be killed.
process.on("disconnect", () => process.exit())
