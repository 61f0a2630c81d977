/**
 * The database as handlers see it: Kysely on a pool of PostgreSQL connections. Kysely is not wrapped; its documentation
 * is at https://kysely.dev.
 */
import { Kysely, PostgresDialect } from "kysely"
import pg from "pg"
import type { Tables } from "../core/declared.ts"
import { BootError } from "../core/errors.ts"
import type { Log } from "../core/log.ts"
import { cancellable } from "./cancel.ts"
import { connectionClass, types } from "./connection.ts"
import { brokeConnection } from "./database-client.ts"
import { rememberPool } from "./pool-below.ts"
import { DatabaseUnreachable } from "./server-question.ts"
import { WatchedPool } from "./watched-pool.ts"

/** The database of an application: Kysely, with its tables. */
export type Db = Kysely<Tables>

/** Where PostgreSQL is: an address as in DATABASE_URL, or the socket of the embedded one. */
export type DatabaseAddress = { url: string } | { host: string; port: number; user: string; database: string }

/** What the `database` section of the configuration says; durations in milliseconds. */
export interface DatabaseSettings {
  poolSize: number
  connectTimeoutMs: number
  statementTimeoutMs: number
  idleInTransactionTimeoutMs: number
  preparedStatements: boolean
  logSql: false | true | "values"
}

/** An open database. */
export interface Database {
  db: Db
  /** Where it is, for connections of another kind. */
  address: DatabaseAddress
  /** The pool below `db`, for what Kysely cannot say. Queries on it are not cancelled with a request. */
  pool: pg.Pool
  /** Asks the server whether it is there, apart from the pool; rejects at once while it is known not to answer. */
  ask(): Promise<void>
  /** Waits for the queries that run. May be called again. */
  close(): Promise<void>
}

/**
 * Opens a pool; connections are made when they are needed, and again when they were lost. While the server does not answer,
 * queries fail within two seconds: see watched-pool.ts.
 */
export function openDatabase(address: DatabaseAddress, settings: DatabaseSettings, log: Log): Database {
  const own = log.for("database")
  const options = {
    ...connectionOptions(address),
    max: settings.poolSize,
    connectionTimeoutMillis: settings.connectTimeoutMs,
    idleTimeoutMillis: 30_000,
    // The server's own limit ends what the cancelling of requests does not know of, such as a query of a job.
    statement_timeout: settings.statementTimeoutMs,
    idle_in_transaction_session_timeout: settings.idleInTransactionTimeoutMs,
    keepAlive: true,
    // A server that vanished without a word is noticed after 20 s instead of two hours.
    keepAliveInitialDelayMillis: 10_000,
    types,
    Client: connectionClass({ ...settings, log: log.for("sql") }),
  }
  const pool = new WatchedPool(options as pg.PoolConfig, own)
  // A connection that breaks only leaves the pool, be it idle or in use between two statements of a transaction; without
  // these listeners it would end the process.
  pool.on("connect", (client) => client.on("error", () => {}))
  let isClosing = false
  pool.on("error", (error) => {
    // While closing, an embedded server may stop before the goodbye of a connection has reached it.
    if (isClosing || error instanceof DatabaseUnreachable) return
    own.warn(`A connection was lost: ${error.message}. The next query makes a new one.`)
  })

  const cancelled = cancellable(pool)
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool: cancelled as never }) })
  rememberPool(db, cancelled)
  return {
    db,
    address,
    pool,
    ask: () => pool.ask(),
    async close() {
      isClosing = true
      await db.destroy()
      // Kysely ends a pool only when it has used it; an idle connection would keep the process for 30 seconds.
      if (!pool.ending) await pool.end()
    },
  }
}

/** The options of pg for one connection to the address: what the pool and the single connections of commands share. */
export function connectionOptions(address: DatabaseAddress): pg.ClientConfig {
  const application_name = "trestle"
  if (!("url" in address)) return { ...address, options: optionsFor(address.user), application_name }
  try {
    const url = readUrl(address.url)
    // `sslmode` means what it means to psql: require encrypts, verify-full also checks who answers. pg 9 does so too.
    if (url.searchParams.has("sslmode") && !url.searchParams.has("uselibpqcompat")) {
      url.searchParams.set("uselibpqcompat", "true")
    }
    // Reads sslrootcert and its like now, so that a wrong path is an error of the boot.
    const { user } = new pg.Client({ connectionString: url.href })
    const own = url.searchParams.get("options")
    url.searchParams.set("options", own ? `${optionsFor(user)} ${own}` : optionsFor(user))
    return { connectionString: url.href, application_name }
  } catch (cause) {
    throw new BootError(`DATABASE_URL does not work: ${(cause as Error).message}`, { cause })
  }
}

/** A DATABASE_URL; without a host, as in `postgres://user@/movies?host=/run/postgresql`, `URL` would not take it. */
export const readUrl = (url: string): URL => new URL(url.replace(/^(\w+:\/\/[^/?#]*@)(?=[/?#]|$)/, "$1localhost"))

/** The settings of each session. */
function optionsFor(user: string | undefined): string {
  // Moments are read as ISO text in UTC, see `toIso`, whatever the server's own settings are.
  const options = "-c TimeZone=UTC -c DateStyle=ISO"
  // Tables are looked for, and made, in the schema of the user's name first: for this user that would be the kit's.
  return user === "trestle" ? `${options} -c search_path=public` : options
}

/** Which failures mean that the database cannot be reached now, so that the answer is 503 and not 500. */
export function isUnreachable(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const { code = "" } = error as { code?: string }
  if (ownCodes.has(code) || (systemCodes.has(code) && brokeConnection(error))) return true
  if (error instanceof pg.DatabaseError) return serverCodes.has(code)
  return /^(Connection terminated|timeout exceeded when trying to connect|timeout expired|Client has encountered a connection error)/.test(
    error.message,
  )
}

/** Node's codes of a connection that cannot be made, or broke. */
const systemCodes = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ENOENT", // there is no Unix socket
  "EAGAIN", // there is one, whose server does not accept
  "ENOTFOUND",
  "EAI_AGAIN",
  "EPIPE",
  "ETIMEDOUT",
  "EHOSTUNREACH",
])

/** PostgreSQL's codes of a connection that is refused or ended (its appendix A). */
const serverCodes = new Set([
  "53300", // too_many_connections
  "57P01", // admin_shutdown
  "57P02", // crash_shutdown
  "57P03", // cannot_connect_now
  "08006", // connection_failure
])

const ownCodes = new Set([
  "DATABASE_UNREACHABLE", // of our server-question.ts
  "REDIS_UNREACHABLE", // of our redis.ts
])
