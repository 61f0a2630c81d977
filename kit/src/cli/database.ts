/** The database of a project, opened for a command: the server that DATABASE_URL names, or the embedded one. */
import type { Config } from "../core/config/index.ts"
import type { Log } from "../core/log.ts"
import { type Database, type DatabaseAddress, type DatabaseSettings, openDatabase } from "../db/database.ts"
import { type Embedded, joinEmbedded, openEmbedded } from "../db/embedded/embedded.ts"
import type { Project } from "./project.ts"

/** Where the database of a project is, as long as it is needed. */
export interface Located {
  address: DatabaseAddress
  /** The embedded database, when DATABASE_URL is not set. */
  embedded: Embedded | undefined
  stop(): Promise<void>
}

/** What {@link ownDatabase} must know of the settings. */
export type OwnSettings = Pick<Config["database"], "url" | "pool_size">

/**
 * Finds the database for a server, which becomes the only owner of an embedded one.
 * @param onLost called when another process became its owner, and this one has none any more
 */
export async function ownDatabase(
  project: Project,
  { url, pool_size }: OwnSettings,
  log: Log,
  onLost: () => void,
): Promise<Located> {
  if (url) return located(url)
  const lost = (reason: Error) => {
    log.error(`${reason.message} Stopping.`)
    onLost()
  }
  const maxConnections = Math.max(embeddedConnections, pool_size + spareConnections)
  const folder = project.databaseFolder
  return locatedAt(await openEmbedded({ folder, maxConnections, log: toLog(log), onLost: lost }))
}

/** What the embedded database admits at least: a pool of each process, commands and psql beside them. */
const embeddedConnections = 50
const spareConnections = 20

/** Finds the database for a command, whether a server is running or not. */
export async function joinDatabase(project: Project, config: Config, log: Log, purpose: string): Promise<Located> {
  if (config.database.url) return located(config.database.url)
  return locatedAt(await joinEmbedded({ folder: project.databaseFolder, log: toLog(log), purpose }))
}

const located = (url: string): Located => ({ address: { url }, embedded: undefined, stop: async () => {} })

const locatedAt = (embedded: Embedded): Located => ({
  address: embedded.connection,
  embedded,
  stop: () => embedded.stop(),
})

function toLog(log: Log) {
  const own = log.for("postgres")
  return (level: "info" | "warn" | "error", message: string) => own[level](message)
}

/** The `database` section as the pool takes it. */
export function databaseSettings(config: Config): DatabaseSettings {
  const { database, logging } = config
  return {
    poolSize: database.pool_size,
    connectTimeoutMs: database.connect_timeout,
    statementTimeoutMs: database.statement_timeout,
    idleInTransactionTimeoutMs: database.idle_in_transaction_timeout,
    preparedStatements: database.prepared_statements,
    logSql: logging.sql,
  }
}

/** One connection for a command or for migrations, which may take as long as they need. */
export function openForCommand(address: DatabaseAddress, config: Config, log: Log): Database {
  const settings = databaseSettings(config)
  const patient = { poolSize: 1, statementTimeoutMs: 0, idleInTransactionTimeoutMs: 0, preparedStatements: false }
  return openDatabase(address, { ...settings, ...patient }, log)
}
