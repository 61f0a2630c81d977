/** Opens the server of a project and all that it uses, for the process that answers requests. */
import type { FastifyInstance } from "fastify"
import type { App } from "../app.ts"
import { type Capabilities, openCapabilities } from "../capabilities.ts"
import type { Config } from "../core/config/index.ts"
import type { OpenLog } from "../core/log/open.ts"
import type { Mode } from "../core/mode.ts"
import { type Database, type DatabaseAddress, openDatabase } from "../db/database.ts"
import { loadTls, type Tls } from "../http/tls.ts"
import { transportOf } from "../mail/settings.ts"
import { createServer, type ServerOptions } from "../server.ts"
import { databaseSettings } from "./database.ts"
import type { Project } from "./project.ts"
import { redisOf } from "./redis.ts"

/** A server that answers as soon as it is given connections. */
export interface OpenServer {
  server: FastifyInstance
  tls: Tls | undefined
  database: Database
  capabilities: Capabilities
  /** Closes the server and all that it uses. */
  close(): Promise<void>
}

interface ServeOptions {
  project: Project
  app: App
  config: Config
  opened: OpenLog
  mode: Mode
}

/** Opens the database, Redis and whatever else a server needs, and makes it. */
export async function openServer(
  address: DatabaseAddress,
  { project, app, config, opened: { log }, mode }: ServeOptions,
  more: Partial<ServerOptions> = {},
): Promise<OpenServer> {
  const transport = transportOf(config, mode, project.folder)
  const tls = await loadTls(config.tls, { folder: project.folder, host: config.server.host, log })
  const database = openDatabase(address, databaseSettings(config), log)
  const redis = await redisOf(app, config, log)
  const capabilities = openCapabilities({ app, config, mode, database, redis, transport, log })
  const closeAll = async () => {
    await capabilities.close()
    await redis?.close()
    await database.close()
  }
  try {
    const server = await createServer({ app, config, mode, database, capabilities, redis, log, tls, ...more })
    return {
      server,
      tls,
      database,
      capabilities,
      async close() {
        await server.close()
        await closeAll()
      },
    }
  } catch (error) {
    // An open connection would keep the process after the message.
    await closeAll()
    throw error
  }
}
