/** Starts the server of a project, for `start` and `dev`: configuration, database, migrations, HTTP; and stops it. */
import { relative } from "node:path"
import type { FastifyInstance } from "fastify"
import type { App } from "../app.ts"
import { type Capabilities, jobsOf, openCapabilities } from "../capabilities.ts"
import { type Config, loadConfig } from "../core/config/index.ts"
import { BootError } from "../core/errors.ts"
import { type OpenLog, openLog } from "../core/log/open.ts"
import type { Log } from "../core/log.ts"
import type { Mode } from "../core/mode.ts"
import { type Database, type DatabaseAddress, openDatabase } from "../db/database.ts"
import { isPending, isUnknown, ledgersOf, migrateUp, migrationStates } from "../db/migrations.ts"
import { type OpenRedis, openRedis } from "../db/redis.ts"
import { checkServer } from "../db/server-check.ts"
import { loadTls, type Tls } from "../http/tls.ts"
import { declareJobs } from "../jobs/boss.ts"
import { createServer, type ServerOptions } from "../server.ts"
import { databaseSettings, openForCommand } from "./database.ts"
import type { Project } from "./project.ts"

/** A server that answers as soon as it is given connections. */
export interface OpenServer {
  server: FastifyInstance
  tls: Tls | undefined
  database: Database
  capabilities: Capabilities
  /** Closes the server and all that it uses. */
  close(): Promise<void>
}

export function configOf(project: Project, app: App, mode: Mode): Config {
  const config = loadConfig({ folder: project.folder, ...(app.config && { sections: app.config }) })
  if (config.logging.sql === "values" && mode === "production") {
    throw new BootError('LOG_SQL=values prints what users wrote, so it works under "trestle dev" only. Set LOG_SQL=1.')
  }
  return config
}

/** Applies pending migrations where that is ours to do, and otherwise refuses to run with them. */
export async function prepareDatabase(
  address: DatabaseAddress,
  { app, config, log, apply, processes }: { app: App; config: Config; log: Log; apply: boolean; processes: number },
): Promise<void> {
  const database = openForCommand(address, config, log)
  try {
    await checkServer(database.pool, processes, config.database.pool_size, log)
    const ledgers = await ledgersOf(app.folder)
    const states = await migrationStates(database.db, ledgers)
    const unknown = states.filter(isUnknown).map((state) => state.name)
    if (unknown.length > 0) {
      log.warn(
        `The database has newer migrations than this version: ${unknown.join(", ")}. It runs with them as they are.`,
      )
    }
    const pending = states.filter(isPending).map((state) => state.name)
    if (pending.length > 0) {
      if (!apply) {
        throw new BootError(
          `The database lacks the migrations ${pending.join(", ")}. Apply them: npx trestle migrate up`,
        )
      }
      const done = await migrateUp(database.db, ledgers)
      log.info(`Migrated: ${done.join(", ")}`)
    }
    await declareJobs(database, jobsOf(app), log)
  } finally {
    await database.close()
  }
}

/** Connects to the Redis that the settings name; undefined when they name none. */
export async function redisOf(app: App, { redis }: Config, log: Log): Promise<OpenRedis | undefined> {
  const { url, prefix = `${app.name ?? "app"}:` } = redis
  return url ? openRedis(url, prefix, log) : undefined
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
  const tls = await loadTls(config.tls, { folder: project.folder, host: config.server.host, log })
  const database = openDatabase(address, databaseSettings(config), log)
  const redis = await redisOf(app, config, log)
  const capabilities = openCapabilities({ app, config, database, redis, log })
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

/** Where to call a server. */
export const urlOf = (host: string, port: number, isTls: boolean): string =>
  `${isTls ? "https" : "http"}://${shownHost(host)}:${port}`

/** A host that a browser or curl can call: all interfaces are also this machine. */
function shownHost(host: string): string {
  if (host === "0.0.0.0" || host === "::") return "localhost"
  return host.includes(":") ? `[${host}]` : host
}

/** A path of the application that everyone may GET. */
export function samplePath(app: App): string {
  const [first] = Object.keys(app.routes)
  return first && !first.startsWith("/") ? `/api/${first}/` : "/api/health"
}

/** What curl must be told to trust the server's certificate; nothing where machines trust it anyway. */
export const trustFor = (tls: Tls | undefined): string =>
  tls?.isSelfSigned ? `--cacert ${shellWord(relative(process.cwd(), tls.file))} ` : ""

/** A curl that works as it stands. */
export const sampleCurl = (url: string, trust: string, sample: string): string => `curl ${trust}${url}${sample}`

const shellWord = (text: string): string => (/^[\w./@-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`)

/** Someone's wish that the server stop. */
export interface Stop {
  /** Settles when it was asked. */
  asked: Promise<void>
  /** Whether it was asked, to begin nothing any more. */
  isAsked(): boolean
  /** Asks. */
  ask(): void
}

/** One wish often comes twice: to the whole group of processes, and passed on by npm or the launcher. */
const sameWishMs = 500

/** Listens for SIGINT, SIGTERM and SIGHUP: the first one asks, a later one ends the process at once. */
export function stopOnSignal(log: Log): Stop {
  const { promise: asked, resolve } = Promise.withResolvers<void>()
  let isAsked = false
  const ask = () => {
    isAsked = true
    resolve()
  }
  let first: number | undefined
  const onSignal = (signal: string) => {
    if (first === undefined) {
      first = performance.now()
      log.info(`Stopping (${signal}); a second time stops at once.`)
      ask()
    } else if (performance.now() - first > sameWishMs) process.exit(1)
  }
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, onSignal)
  return { asked, isAsked: () => isAsked, ask }
}

/** The log of the project's server, to be closed last: `await using` does it. */
export const serverLog = (project: Project, app: App, config: Config): OpenLog =>
  openLog(config.logging, { folder: project.folder, name: app.name })
