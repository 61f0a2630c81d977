/** One attempt at a job: its handler with all that it is given, called off at its time. */
import { sql } from "kysely"
import type { JobWithMetadata } from "pg-boss"
import type { Log } from "../core/log.ts"
import { runIn, type Scope } from "../core/scope.ts"
import type { AnyJob, JobContext, JobRun } from "./job.ts"
import { faultsOf, storable } from "./job-data.ts"

/** A job as it was fetched. */
export type Fetched = JobWithMetadata<Record<string, unknown>>

/** A handler that was told to stop has so long to do it, in milliseconds; then it counts as stuck. */
const stuckAfterMs = 5000

/** The longest note that is kept. */
const longestNote = 500

export interface AttemptOptions {
  context: JobContext
  log: Log
  /** Told when the handler goes on although it was told to stop: only the end of the process ends it. */
  stuck(attempt: Attempt): void
}

/** Work that is over its time. */
class JobTimeout extends Error {
  override name = "JobTimeout"
}

/** A job that no longer is this process's: whoever took it says how it ended. */
export class ClaimLost extends Error {
  override name = "ClaimLost"
}

/** Thrown by a handler of the kit for which it is too early: it runs again after a time, in milliseconds, and has lost no attempt. */
export class Postponed extends Error {
  override name = "Postponed"
  readonly delayMs: number
  constructor(message: string, delayMs: number) {
    super(message)
    this.delayMs = delayMs
  }
}

export class Attempt implements Scope {
  readonly job: AnyJob
  readonly fetched: Fetched
  readonly log: Log
  readonly began = performance.now()
  abortReason: Error | undefined
  private readonly options: AttemptOptions
  private readonly controller = new AbortController()
  private readonly listeners = new Set<(reason: Error) => void>()
  private readonly calledOff = Promise.withResolvers<never>()

  constructor(job: AnyJob, fetched: Fetched, options: AttemptOptions) {
    this.job = job
    this.fetched = fetched
    this.options = options
    this.log = options.log.for(`job ${job.name}`).child({ reqId: this.id })
    this.calledOff.promise.catch(() => {})
  }

  /** What `send` returned; a dead letter that was sent again has another one in the database. */
  get id(): string {
    return this.fetched.sourceRootId ?? this.fetched.id
  }

  /** From 1. */
  get number(): number {
    return this.fetched.retryCount + 1
  }

  /** Whether there is none after it. */
  get isLast(): boolean {
    return this.fetched.retryCount >= this.fetched.retryLimit
  }

  /** Runs the handler. Settles when that does, or when it is called off; then the handler may still run. */
  async run(): Promise<void> {
    const { timeoutMs } = this.job
    const late = setTimeout(() => this.callOff(new JobTimeout(`It took longer than ${timeoutMs} ms.`)), timeoutMs)
    const work = runIn(this, async () => {
      const faults = faultsOf(this.job, this.fetched.data)
      if (faults) throw new TypeError(`Its data is not what this version of the job takes: ${faults}.`)
      await this.job.handler(this.given())
    })
    try {
      await Promise.race([work, this.calledOff.promise])
    } finally {
      clearTimeout(late)
      if (this.abortReason) this.watchStuck(work)
    }
  }

  callOff(reason: Error): void {
    if (this.abortReason) return
    this.abortReason = reason
    this.controller.abort(reason)
    for (const listener of this.listeners) listener(reason)
    this.calledOff.reject(reason)
  }

  onAbort(listener: (reason: Error) => void): void {
    this.listeners.add(listener)
  }

  offAbort(listener: (reason: Error) => void): void {
    this.listeners.delete(listener)
  }

  private given(): JobRun<Record<string, unknown>> {
    const { context } = this.options
    return {
      ...context,
      id: this.id,
      data: this.fetched.data,
      attempt: this.number,
      signal: this.controller.signal,
      log: this.log,
      report: async (progress, note) => {
        if (!(progress >= 0 && progress <= 1)) throw new RangeError(`Progress is from 0 to 1, not ${progress}.`)
        const kept = note === undefined ? null : storable(note, longestNote)
        await sql`
          insert into trestle.job_progress as kept (job_id, progress, note, reported)
          values (${this.id}, ${progress}, ${kept}, now())
          on conflict (job_id) do update set progress = excluded.progress, note = excluded.note, reported = now()
        `.execute(context.db)
      },
    }
  }

  private watchStuck(work: Promise<void>): void {
    const timer = setTimeout(() => this.options.stuck(this), stuckAfterMs)
    timer.unref()
    work.then(
      () => clearTimeout(timer),
      () => clearTimeout(timer),
    )
  }
}

/** Whoever is told how attempts ended. */
export interface Outcomes {
  complete(attempt: Attempt): void
  fail(attempt: Attempt, error: unknown): Promise<void>
  postpone(attempt: Attempt, delayMs: number): Promise<void>
}

/** Whether an error says of itself, by `isFinal`, that another attempt would fail in the same way. */
export const isFinal = (error: unknown): boolean =>
  error instanceof Error && "isFinal" in error && error.isFinal === true

/** Runs an attempt to its end, and has that told. Never rejects. */
export async function runAttempt(attempt: Attempt, outcomes: Outcomes): Promise<void> {
  const { log, number, began } = attempt
  const took = () => `${Math.round(performance.now() - began)} ms`
  try {
    await attempt.run()
    outcomes.complete(attempt)
    log.info(`Done in ${took()}.`)
  } catch (error) {
    if (error instanceof ClaimLost) {
      log.warn(`Called off after ${took()}: ${error.message}`)
      return
    }
    if (error instanceof Postponed) {
      log.debug(`Postponed: ${error.message}`)
      await outcomes.postpone(attempt, error.delayMs)
      return
    }
    const failure = { err: error as Error }
    if (attempt.isLast || isFinal(error)) {
      log.error(failure, `Attempt ${number} failed after ${took()}; it was the last: a dead letter.`)
    } else log.warn(failure, `Attempt ${number} failed after ${took()}, and it is tried again.`)
    await outcomes.fail(attempt, error)
  }
}
