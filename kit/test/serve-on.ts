/** A server on a database that the test gives, perhaps by a way that it can close, and on a Redis of its own. */
import type { TestContext } from "node:test"
import type { App } from "trestle"
import { openCapabilities } from "../src/capabilities.ts"
import { databaseSettings } from "../src/cli/database.ts"
import { loadConfig } from "../src/core/config/index.ts"
import { Log } from "../src/core/log.ts"
import { type DatabaseAddress, openDatabase } from "../src/db/database.ts"
import { openRedis } from "../src/db/redis.ts"
import { createServer } from "../src/server.ts"
import { Browser } from "./browser.ts"

export interface ServeOptions {
  env?: Record<string, string>
  redisUrl?: string | undefined
  isDraining?: () => boolean
}

/** Starts it, and stops it after the test. */
export async function serveOn(
  t: Pick<TestContext, "after">,
  app: App,
  address: DatabaseAddress,
  { env = {}, redisUrl, isDraining }: ServeOptions = {},
) {
  const settings = { RATE_LIMIT_ENABLED: "false", ...env }
  const config = loadConfig({ folder: "/nonexistent", env: settings, ...(app.config && { sections: app.config }) })
  const lines: string[] = []
  const log = new Log("info", "server", (line) => void lines.push(line))
  const database = openDatabase(address, databaseSettings(config), log)
  const redis = redisUrl ? await openRedis(redisUrl, "test:", log) : undefined
  const capabilities = openCapabilities({ app, config, mode: "production", database, redis, log })
  const server = await createServer({ app, config, mode: "production", database, capabilities, redis, log, isDraining })
  t.after(async () => {
    await server.close()
    await capabilities.close()
    await redis?.close()
    await database.close()
  })
  const url = await server.listen({ host: "127.0.0.1", port: 0 })
  return { url, visitor: new Browser(url), server, pool: database.pool, log: lines }
}
