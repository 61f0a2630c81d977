/** What must be true of a PostgreSQL server before ours begins: its version, and that it has room for our pools. */
import pg from "pg"
import { BootError } from "../core/errors.ts"
import type { Log } from "../core/log.ts"
import { isUnreachable } from "./database.ts"

/** The versions that are tested. */
const oldest = 15
const newest = 18

/** The connections of each process besides its pool: one hears of changes, one asks whether the server is there. */
const besides = 2

/** Connections besides the pools: migrations and commands beside the running server. */
const spare = 2

interface Room {
  version: number
  admitted: number
  reserved: number
  role: number
  database: number
  superuser: boolean
}

/**
 * Throws a {@link BootError} when the server is too old, or when `processes` pools of `poolSize` connections are more than it
 * admits: better at the boot than as "too many clients" under the first load.
 */
export async function checkServer(pool: pg.Pool, processes: number, poolSize: number, log: Log): Promise<void> {
  const room = await askRoom(pool)
  if (room.version < oldest) {
    throw new BootError(`The database is PostgreSQL ${room.version}. Trestle needs ${oldest} to ${newest}: upgrade it.`)
  }
  if (room.version > newest) {
    log.warn(`The database is PostgreSQL ${room.version}; Trestle is tested with ${oldest} to ${newest}.`)
  }
  // A superuser may use the reserved ones, and no other limit holds for it.
  const isLimited = (limit: number) => limit >= 0 && !room.superuser
  const limits = [
    { of: "max_connections less the reserved ones", size: room.admitted - (room.superuser ? 0 : room.reserved) },
    { of: "the role's connection limit", size: isLimited(room.role) ? room.role : Infinity },
    { of: "the database's connection limit", size: isLimited(room.database) ? room.database : Infinity },
  ]
  const least = limits.reduce((a, b) => (b.size < a.size ? b : a))
  const wanted = processes * (poolSize + besides) + spare
  if (wanted > least.size) {
    const fits = Math.floor((least.size - spare) / processes) - besides
    throw new BootError(
      `The database admits ${least.size} connections (${least.of}), but ${processes} × database.pool_size ` +
        `(${poolSize} + ${besides} besides) + ${spare} spare = ${wanted} are wanted. ` +
        (fits >= 1
          ? `Set DATABASE_POOL_SIZE to ${fits} or less, or raise the server's limit.`
          : "Start fewer processes, or raise the server's limit."),
    )
  }
}

async function askRoom(pool: pg.Pool): Promise<Room> {
  try {
    const { rows } = await pool.query<Room>(`
      select current_setting('server_version_num')::int / 10000 as version,
        current_setting('max_connections')::int as admitted,
        current_setting('superuser_reserved_connections')::int
          + coalesce(current_setting('reserved_connections', true)::int, 0) as reserved,
        rolconnlimit as role, datconnlimit as database, rolsuper as superuser
      from pg_roles, pg_database where rolname = session_user and datname = current_database()`)
    return rows[0]!
  } catch (cause) {
    throw cannotUse(pool, cause)
  }
}

/** Whether a server cannot be reached, or does not know the user or the database (PostgreSQL's classes 28 and 3D). */
export const isRefused = (error: unknown): boolean =>
  isUnreachable(error) || /^(28|3D)/.test((error as { code?: string }).code ?? "")

/** What stops a command or a boot when the first query failed. */
export function cannotUse(pool: pg.Pool, cause: unknown): BootError {
  const why = cause instanceof Error ? cause.message || (cause as { code?: string }).code : String(cause)
  return new BootError(`The database ${placeOf(pool)} cannot be used: ${why}. ${adviceFor(cause)}`, { cause })
}

/** Where the pool connects to, as pg has read it from all its sources, and never the password. */
function placeOf(pool: pg.Pool): string {
  const { host, port, database, user } = new pg.Client(pool.options) as pg.Client & { database: string; user: string }
  return `at ${host.startsWith("/") ? host : `${host}:${port}`} (${database}, as ${user})`
}

function adviceFor(cause: unknown): string {
  const { code = "", message = "" } = cause as { code?: string; message?: string }
  if (code === "53300") return "Stop other programs that use it, or raise the limit."
  if (isUnreachable(cause)) {
    return "Start it, or put its address into DATABASE_URL; without DATABASE_URL the embedded database is used."
  }
  if (/certificate|SSL|TLS|encryption/i.test(message)) return "Check sslmode and sslrootcert in DATABASE_URL."
  return "Check the user, password and database name in DATABASE_URL."
}
