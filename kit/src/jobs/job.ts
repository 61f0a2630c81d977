/** What a background job is: how it is defined, what its handler is given, and how others send it and look at it. */
import type { Static, TObject } from "typebox"
import type { Config } from "../core/config/index.ts"
import type { Log } from "../core/log.ts"
import type { Role, User } from "../core/roles.ts"
import type { Db } from "../db/database.ts"
import type { Kv } from "../store/kv.ts"

/** What every handler is given. Capabilities above this one add to it. */
export interface JobContext {
  /** The database. Its queries are cancelled when the job is called off. */
  db: Db
  kv: Kv
  jobs: Jobs
  config: Config
}

/** One attempt at a job. */
export interface JobRun<T> extends JobContext {
  /** What `jobs.send` returned; the same at every attempt. */
  id: string
  data: T
  /** Which attempt it is, from 1. One that was cut short by the end of its process counts. */
  attempt: number
  /** Aborts when the job is cancelled, over its time, or must be given back because the process ends. */
  signal: AbortSignal
  /** Lines carry the job's name and id. */
  log: Log
  /** Says how far it is, from 0 to 1, for `GET /api/jobs/:id`. Each call is a write to the database. */
  report(progress: number, note?: string): Promise<void>
}

export type JobHandler<T> = (run: JobRun<T>) => unknown

/** Who may read how far a job is: those of a role, or whom a function lets. */
export type ReadableBy<T> = Role | ((caller: User | null, data: T) => boolean)

/** How a job is run. */
export interface JobOptions<S extends TObject> {
  /** What the job is told. It lies in the database as it is: no secrets. */
  data: S
  /**
   * How often it is tried again when an attempt fails; then it is a dead letter. Default 5: some minutes of trouble. An error whose
   * `isFinal` is true makes it one at once: `throw Object.assign(new Error("…"), { isFinal: true })`.
   */
  retries?: number
  /** The wait before the second attempt, doubled before each next one, and up to twice that by chance. Default "5 seconds". */
  retryDelay?: string
  /** The longest such wait. Default "1 hour". */
  longestRetryDelay?: string
  /** The longest that an attempt may take; then it has failed. Default "10 minutes". */
  timeout?: string
  /** How many run at once in one process. Default 10: most jobs wait for something. */
  concurrency?: number
  /** Higher ones first, -1000 to 1000. Default 0. */
  priority?: number
  /** One that has not begun so long after it was due is dropped. Default "14 days". */
  expires?: string
  /** For how long one that has ended can be looked up; its dead letter stays for 90 days. Default "7 days". */
  keep?: string
  /** Who may `GET /api/jobs/:id`. Default "admin". */
  readable?: ReadableBy<Static<S>>
}

/** A cron is told nothing. */
export type NoData = TObject<Record<never, never>>

export interface CronOptions extends Omit<JobOptions<NoData>, "data"> {
  /** As in "Europe/Helsinki". Default: the machine's. */
  timeZone?: string
  /** Whether ticks that were missed while nothing ran are made up for, by one run. Default false. */
  catchUp?: boolean
  /** Whether it may begin while it still runs. Default false: such a tick is left out. */
  overlap?: boolean
}

/** When a cron runs. */
export interface Schedule {
  expression: string
  timeZone: string
  catchUp: boolean
}

/** A job, with what was left open filled in; times in milliseconds. */
export interface Job<S extends TObject = TObject> {
  readonly name: string
  readonly data: S
  readonly retries: number
  readonly retryDelayMs: number
  readonly longestRetryDelayMs: number
  readonly timeoutMs: number
  readonly concurrency: number
  readonly priority: number
  readonly expiresMs: number
  readonly keepMs: number
  readonly readable: ReadableBy<Static<S>>
  readonly handler: JobHandler<Static<S>>
  /** Whether one may wait while another runs, or runs. */
  readonly overlap: boolean
  /** Of a cron. */
  readonly schedule?: Schedule
}

// biome-ignore lint/suspicious/noExplicitAny: a list holds jobs of all kinds of data, and each handler takes only its own.
export type AnyJob = Job<any>

/** What senders may give; what is above it is ours, see rescue.ts. */
export const highestPriority = 1000

export interface SendOptions {
  /** A transaction: the job is committed with it, or not at all. */
  tx?: Db
  /** Not before: so long from now, as in `"10 minutes"`, or a moment. */
  delay?: string | Date
  /** Instead of the job's own, -1000 to 1000. */
  priority?: number
  /** Nothing is sent when one was under the same key, within the time before. */
  unique?: { key: string; within: string }
}

/** `waiting` for its time or a free place, `running`, `done`, `dead` after its last attempt, `cancelled`. */
export type JobPhase = "waiting" | "running" | "done" | "dead" | "cancelled"

/** What is known of a job. Moments are ISO 8601. */
export interface JobState {
  id: string
  name: string
  phase: JobPhase
  data: unknown
  /** The attempts that have begun. */
  attempts: number
  created: string
  /** When it may begin. */
  due: string
  started: string | null
  ended: string | null
  /** As it last reported itself, from 0 to 1. */
  progress: number | null
  note: string | null
  /** Why the last attempt failed. */
  error: string | null
}

export interface Jobs {
  /**
   * Sends a job; it runs as soon as a process has room. Returns its id; of a job that is not sent because of `unique`, or
   * because it may not overlap itself, the id of the one that was.
   * @throws TypeError when the data is not what the job takes, or the job is not in `defineApp({ jobs })`
   */
  send<S extends TObject>(job: Job<S>, data: Static<S>, options?: SendOptions): Promise<string>
  /** Undefined for an id that there is no job of, or no more. */
  find(id: string): Promise<JobState | undefined>
  /** Calls it off: it does not begin any more, and the `signal` of one that runs aborts within seconds. False: it had ended. */
  cancel(id: string): Promise<boolean>
  /** Sends a dead letter again, under the same id. False: there is none. */
  retry(id: string): Promise<boolean>
}
