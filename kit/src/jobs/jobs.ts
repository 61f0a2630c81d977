/** Jobs as handlers see them: sent, looked up, called off, tried again. */
import { randomUUID } from "node:crypto"
import { CompiledQuery, sql } from "kysely"
import type { Db as BossDb, PgBoss } from "pg-boss"
import { parseDuration } from "../core/duration.ts"
import type { Log } from "../core/log.ts"
import { didYouMean } from "../core/suggest.ts"
import type { Database, Db } from "../db/database.ts"
import { deadLetters, openBoss, sendingPool } from "./boss.ts"
import { type AnyJob, highestPriority, type JobPhase, type JobState, type Jobs, type SendOptions } from "./job.ts"
import { faultsOfSent } from "./job-data.ts"

export interface OpenJobs extends Jobs {
  close(): Promise<void>
}

/** @param all every job that may be sent, the kit's too */
export function openJobs(database: Database, all: readonly AnyJob[], log: Log): OpenJobs {
  const known = new Set(all)
  const names = all.map(({ name }) => name)
  const { db } = database
  let opening: Promise<PgBoss> | undefined
  const pool = sendingPool(database.address)
  const boss = () => {
    opening ??= openBoss(pool, { supervises: false, schedules: false }, log.for("jobs")).catch((error) => {
      opening = undefined
      throw error
    })
    return opening
  }

  function check(job: AnyJob, data: unknown): void {
    if (!known.has(job)) {
      throw new TypeError(
        `The job "${job.name}" is not in defineApp({ jobs }), so nothing would run it. Add it there.${didYouMean(job.name, names)}`,
      )
    }
    const faults = faultsOfSent(job, data)
    if (faults) throw new TypeError(`The data of the job "${job.name}" is not what it takes: ${faults}.`)
  }

  async function insert(tx: Db, job: AnyJob, id: string, data: object, options: SendOptions): Promise<string> {
    const { delay, priority } = options
    if (priority !== undefined && !(Number.isInteger(priority) && Math.abs(priority) <= highestPriority)) {
      throw new TypeError(`The priority of a job is a whole number from -1000 to 1000, not ${priority}.`)
    }
    const startAfter = typeof delay === "string" ? `${parseDuration(delay) / 1000} seconds` : future(delay)
    const sent = await (await boss()).send(job.name, data, {
      id,
      db: inTransaction(tx),
      ...(priority !== undefined && { priority }),
      ...(startAfter !== undefined && { startAfter }),
    })
    return sent ?? (await unfinished(tx, job.name)) ?? insert(tx, job, id, data, options)
  }

  return {
    async send(job, data, { tx, ...options } = {}) {
      check(job, data)
      const given = { priority: job.priority, ...options }
      const id = randomUUID()
      if (!options.unique) return insert(tx ?? db, job, id, data, given)
      const { key, within } = options.unique
      const once = async (tx: Db) => {
        const other = await claim(tx, { name: job.name, key, id, withinMs: parseDuration(within) })
        return other ?? insert(tx, job, id, data, given)
      }
      return tx ? once(tx) : db.transaction().execute(once)
    },
    find: (id) => findJob(db, names, id),
    async cancel(id) {
      const row = await rowOf(db, names, id)
      if (!row) return false
      return affected(await (await boss()).cancel(row.name, row.id)) > 0
    },
    async retry(id) {
      if (!isUuid(id)) return false
      const { rows } = await sql<{ id: string }>`
        select id from trestle_jobs.job where name = ${deadLetters} and source_root_id = ${id}`.execute(db)
      if (rows.length === 0) return false
      return (await (await boss()).redrive(deadLetters, { ids: rows.map((row) => row.id) })) > 0
    },
    async close() {
      await (await opening?.catch(() => undefined))?.stop({ graceful: false })
      await pool.end()
    },
  }
}

/** A moment that has passed means now: one that was due long ago would have expired. */
const future = (moment: Date | undefined): Date | undefined => (moment && moment > new Date() ? moment : undefined)

/** Lets pg-boss ask through Kysely: within a transaction, and for as long as the request is wanted. */
const inTransaction = (tx: Db): BossDb => ({
  executeSql: async (text, values = []) => ({
    rows: [...(await tx.executeQuery(CompiledQuery.raw(text, values))).rows],
  }),
})

/** How many jobs a call changed; pg-boss does not declare it. */
export const affected = (response: unknown): number => (response as { affected: number }).affected

/** Takes the key for a job, as long as the transaction holds and the time after it; else the job that has it. */
async function claim(
  tx: Db,
  { name, key, id, withinMs }: { name: string; key: string; id: string; withinMs: number },
): Promise<string | undefined> {
  const { rows } = await sql<{ job_id: string }>`
    insert into trestle.unique_jobs as held (name, key, job_id, until)
    values (${name}, ${key}, ${id}, now() + ${withinMs} * interval '1 ms')
    on conflict (name, key) do update set
      job_id = case when held.until <= now() then excluded.job_id else held.job_id end,
      until = case when held.until <= now() then excluded.until else held.until end
    returning job_id`.execute(tx)
  const holder = rows[0]!.job_id
  return holder === id ? undefined : holder
}

/** The job that keeps another one of the name out. */
async function unfinished(tx: Db, name: string): Promise<string | undefined> {
  const { rows } = await sql<{ id: string }>`
    select coalesce(source_root_id, id) as id from trestle_jobs.job
    where name = ${name} and state <= 'active' limit 1`.execute(tx)
  return rows[0]?.id
}

interface JobRow {
  id: string
  name: string
  state: "created" | "retry" | "active" | "completed" | "cancelled" | "failed"
  data: unknown
  retry_count: number
  created_on: string
  start_after: string
  started_on: string | null
  completed_on: string | null
  output: { message?: string; value?: { message?: string } } | null
  progress: number | null
  note: string | null
}

const isUuid = (text: string): boolean => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)

/** The row of the newest run under the id that `send` returned: a dead letter that was sent again is another row. */
async function rowOf(db: Db, names: readonly string[], id: string): Promise<JobRow | undefined> {
  if (!isUuid(id)) return undefined
  const { rows } = await sql<JobRow>`
    select job.*, progress, note from trestle_jobs.job
    left join trestle.job_progress on job_id = ${id}
    where name = any(${names}) and (id = ${id} or source_root_id = ${id})
    order by created_on desc limit 1`.execute(db)
  return rows[0]
}

const phases = {
  created: "waiting",
  retry: "waiting",
  active: "running",
  completed: "done",
  failed: "dead",
  cancelled: "cancelled",
} satisfies Record<JobRow["state"], JobPhase>

export async function findJob(db: Db, names: readonly string[], id: string): Promise<JobState | undefined> {
  const row = await rowOf(db, names, id)
  if (!row) return undefined
  const { name, data, state, retry_count, progress, note, output } = row
  return {
    id,
    name,
    phase: phases[state],
    data,
    // Of one that was given back the last attempt does not count.
    attempts: row.started_on === null ? retry_count : retry_count + 1,
    created: row.created_on,
    due: row.start_after,
    started: row.started_on,
    ended: row.completed_on,
    progress,
    note,
    error: output?.message ?? output?.value?.message ?? null,
  }
}
