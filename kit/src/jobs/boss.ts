/** pg-boss on our pool: it keeps what was sent, and the rules of what is tried when. Running it is ours: see job-worker.ts. */
import { sql } from "kysely"
import pg from "pg"
import type { Db as BossDb, PgBoss, Queue } from "pg-boss"
import type { Log } from "../core/log.ts"
import { connectionOptions, type Database, type DatabaseAddress, isUnreachable } from "../db/database.ts"
import { DatabaseClient } from "../db/database-client.ts"
import { jobSchema } from "../db/job-tables.ts"
import type { AnyJob } from "./job.ts"

/** Where those end whose attempts have all failed. Nothing runs from there. */
export const deadLetters = "trestle.dead"

const days = (count: number) => count * 24 * 3600

/** What a process does for all others besides sending. */
export interface BossDuties {
  /** Removes what has ended long ago, and keeps the tables in order. */
  supervises: boolean
  /** Sends the crons when their time comes; of all processes one does. */
  schedules: boolean
}

/** Listens on a channel; returns what ends it. */
type Listen = (channel: string) => () => void

/**
 * Opens it, on the tables that a migration made. Close it with `boss.stop({ graceful: false })`.
 * @param listen called with the channel on which it notifies of what was sent
 */
export async function openBoss(
  pool: Connections,
  { supervises, schedules }: BossDuties,
  log: Log,
  listen?: Listen,
): Promise<PgBoss> {
  // Only now: a process that sends nothing saves 20 MB, and a seventh of a second of its start.
  const { PgBoss } = await import("pg-boss")
  const boss = new PgBoss({
    db: bossDb(pool, listen),
    useListenNotify: listen !== undefined,
    schema: jobSchema,
    migrate: false,
    createSchema: false,
    supervise: supervises,
    schedule: schedules,
    // What has expired goes within minutes. Counts of queues are not asked more often than that: each is a scan.
    superviseIntervalSeconds: 60,
    maintenanceIntervalSeconds: 300,
    // A cron comes within some seconds of its minute.
    cronMonitorIntervalSeconds: 2,
    cronWorkerIntervalSeconds: 1,
  })
  boss.on("warning", ({ message }) => log.warn(message))
  boss.on("error", (error) => {
    // A database that is away says so itself, once.
    if (!isUnreachable(error)) log.error({ err: error }, "pg-boss failed at what it does by itself.")
  })
  await boss.start()
  return boss
}

/** What gives connections: a pool. */
interface Connections {
  connect(): Promise<pg.PoolClient>
}

/** Through a connection that is asked, statements get a name; the pool's own query passes that by. */
function bossDb(pool: Connections, listen?: Listen): BossDb {
  return {
    // It knows what the channel is called, and so need nobody else.
    ...(listen && {
      async listen(channel) {
        const end = listen(channel)
        return { close: async () => end() }
      },
    }),
    async executeSql(text, values = []) {
      const client = await pool.connect()
      try {
        return await client.query(text, values)
      } finally {
        client.release()
      }
    },
  }
}

/**
 * What only sends asks for the queues, at first and then every minute. That is on a connection apart: the first to send may do so
 * in a transaction, and wait in it for the pool while all others do the same.
 */
export function sendingPool(address: DatabaseAddress): pg.Pool {
  const pool = new pg.Pool({
    ...connectionOptions(address),
    max: 1,
    idleTimeoutMillis: 1000,
    connectionTimeoutMillis: 5000,
    query_timeout: 5000,
    Client: DatabaseClient,
  } as pg.PoolConfig)
  pool.on("error", () => {})
  return pool
}

type Settings = Omit<Queue, "name">

/** Past its time an attempt is ended by whoever runs it; so much later by pg-boss, if nobody does any more. */
const graceSeconds = 60

const settingsOf = (job: AnyJob): Settings => ({
  // "exclusive": of those that wait, run or are to be tried again there is one.
  policy: job.overlap ? "standard" : "exclusive",
  retryLimit: job.retries,
  retryDelay: seconds(job.retryDelayMs),
  retryBackoff: true,
  retryDelayMax: seconds(job.longestRetryDelayMs),
  expireInSeconds: seconds(job.timeoutMs) + graceSeconds,
  retentionSeconds: seconds(job.expiresMs),
  deleteAfterSeconds: seconds(job.keepMs),
  deadLetter: deadLetters,
  notify: true,
})

export const seconds = (ms: number): number => Math.ceil(ms / 1000)

/** What {@link Settings} are called in the table. */
const columns = {
  policy: "policy",
  retryLimit: "retry_limit",
  retryDelay: "retry_delay",
  retryBackoff: "retry_backoff",
  retryDelayMax: "retry_delay_max",
  expireInSeconds: "expire_seconds",
  retentionSeconds: "retention_seconds",
  deleteAfterSeconds: "deletion_seconds",
  deadLetter: "dead_letter",
  notify: "notify",
} satisfies Partial<Record<keyof Settings, string>>

/** Tells pg-boss of all jobs and how they are to be tried. What is sent to one that it does not know is refused. */
export async function declareJobs({ db, pool }: Database, jobs: readonly AnyJob[], log: Log): Promise<void> {
  const { rows } = await sql<Record<string, unknown>>`select * from trestle_jobs.queue`.execute(db)
  const known = new Map(rows.map((row) => [row.name as string, row]))
  const wanted: [name: string, settings: Settings][] = [
    [deadLetters, { policy: "standard", retryLimit: 0, retentionSeconds: days(90) }],
    ...jobs.map((job): [string, Settings] => [job.name, settingsOf(job)]),
  ]
  const differs = ([name, settings]: [string, Settings]) => {
    const row = known.get(name)
    return Object.entries(settings).some(([key, value]) => row?.[columns[key as keyof typeof columns]] !== value)
  }
  const changed = wanted.filter(differs)
  if (changed.length === 0) return

  const boss = await openBoss(pool, { supervises: false, schedules: false }, log)
  try {
    for (const [name, settings] of changed) {
      if (!known.has(name)) await boss.createQueue(name, settings)
      else {
        // It has no call that changes this one.
        const { policy, ...others } = settings
        await sql`update trestle_jobs.queue set policy = ${policy} where name = ${name}`.execute(db)
        await boss.updateQueue(name, others)
      }
    }
  } finally {
    await boss.stop({ graceful: false })
  }
}
