/**
 * Who owns a running database: the session that holds an advisory lock in it (postgresql.org/docs/18/explicit-locking.html).
 * PostgreSQL frees the lock the moment that its holder's connection ends, so a killed owner blocks nobody, and
 * the connection tells its owner at once when the database dies. Guests hold another lock together, so that the last one to
 * leave knows that it is.
 */
import pg from "pg"
import { superuser } from "./cluster.ts"
import type { Postmaster } from "./postmaster.ts"
import { isRunning } from "./processes.ts"

/** The first of the two numbers of our locks: "TRES" in ASCII; applications lock with numbers of their own. */
const lockClass = 0x54524553
const locks = { owner: 1, guests: 2 }

/** Another process that owns the database. */
export interface Holder {
  /** "server", or the name of a command. */
  purpose: string
  pid: number
}

/** A connection of our own to the running database; it is not for queries of the application. */
export interface Session {
  client: pg.Client
  /** Resolves when the connection has ended, whoever ended it; never rejects. */
  ended: Promise<void>
}

/** What a pool takes to reach the database. */
export function connectionTo(running: Postmaster) {
  return { host: running.socketFolder, port: running.port, user: superuser, database: "postgres" }
}

/** Connects; the purpose and the process stand in `pg_stat_activity.application_name`. */
export async function openSession(running: Postmaster, purpose: string): Promise<Session> {
  const client = new pg.Client({
    ...connectionTo(running),
    application_name: `trestle ${purpose.slice(0, 40)} ${process.pid}`,
    ssl: false, // whatever PGSSLMODE says: a Unix socket has none
    connectionTimeoutMillis: 30_000,
  })
  const ended = new Promise<void>((resolve) => client.once("end", resolve))
  client.on("error", () => {}) // the connection ends, and that is what is listened to
  await client.connect()
  return { client, ended }
}

export async function closeSession(session: Session): Promise<void> {
  await session.client.end().catch(() => {})
}

/** Takes the ownership if it is free. Returns undefined when it is ours now, else who has it. */
export async function takeOwnership({ client }: Session): Promise<Holder | undefined> {
  if (await tryLock(client, locks.owner)) return undefined
  const { rows } = await client.query(
    `select application_name from pg_locks join pg_stat_activity using (pid)
     where locktype = 'advisory' and classid = $1 and objid = $2 and objsubid = 2 and granted`,
    [lockClass, locks.owner],
  )
  const [, purpose, pid] = /^trestle (.+) (\d+)$/.exec(rows[0]?.application_name ?? "") ?? []
  return { purpose: purpose ?? "another process", pid: Number(pid ?? 0) }
}

/** Says that this session uses a database which another process owns. */
export async function becomeGuest({ client }: Session): Promise<void> {
  await client.query("select pg_advisory_lock_shared($1, $2)", [lockClass, locks.guests])
}

/** True when this session is the last: it has the ownership then, and there are no guests besides. */
export async function isLast(session: Session): Promise<boolean> {
  const { client } = session
  await client.query("select pg_advisory_unlock_all()")
  const holder = await takeOwnership(session)
  if (holder && (isRunning(holder.pid) || !(await waitForOwnership(client)))) return false
  return tryLock(client, locks.guests)
}

/** PostgreSQL is about to notice that the holder was killed; how soon is up to the machine. */
async function waitForOwnership(client: pg.Client): Promise<boolean> {
  try {
    await client.query(`set lock_timeout = '5s'`)
    await client.query("select pg_advisory_lock($1, $2)", [lockClass, locks.owner])
    return true
  } catch {
    return false
  }
}

async function tryLock(client: pg.Client, lock: number): Promise<boolean> {
  const { rows } = await client.query("select pg_try_advisory_lock($1, $2) as taken", [lockClass, lock])
  return rows[0].taken
}
