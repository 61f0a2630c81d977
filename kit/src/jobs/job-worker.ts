/**
 * A process's part in running jobs. It fetches what is due as soon as it is notified, and looks once a second besides, for what
 * was delayed, is tried again or was missed; it says that its jobs run; and it gives back those of processes that are gone.
 */
import { sql } from "kysely"
import type { PgBoss } from "pg-boss"
import type { InFlight } from "../core/in-flight.ts"
import type { Log } from "../core/log.ts"
import { currentScope } from "../core/scope.ts"
import { type Database, isUnreachable } from "../db/database.ts"
import { listen } from "../db/listen.ts"
import { Alone } from "./alone.ts"
import { type Attempt, ClaimLost } from "./attempt.ts"
import { openBoss } from "./boss.ts"
import { rescueTicks, scheduleCrons } from "./crons.ts"
import { askDue } from "./due.ts"
import type { AnyJob, JobContext } from "./job.ts"
import { affected } from "./jobs.ts"
import { Pump } from "./pump.ts"
import { giveBack, lostAfterMs, rescueLost, touchEveryMs } from "./rescue.ts"
import { Settling } from "./settle.ts"
import { askSteadiness } from "./steadiness.ts"

const lookEveryMs = 1000
const sweepEveryMs = 3600_000

export interface JobWorkerOptions {
  /** Closed with it. Handlers use other connections: those that hold all of theirs must not keep anybody from saying that they run. */
  database: Database
  jobs: readonly AnyJob[]
  context: JobContext
  log: Log
  blockTimeoutMs: number
  /**
   * What it does: "crowd" runs many at once, and whatever else is to be done; "alone" runs those one by one that were running
   * when their process ended; "both" is for development, where there is one process.
   */
  runs: "crowd" | "alone" | "both"
  /** There are jobs that have to run alone. */
  onSuspects?(): void
  /** A handler does not stop although it was told to: the process should be replaced. */
  onStuck?(why: string): void
}

export class JobWorker {
  private readonly options: JobWorkerOptions
  private readonly boss: PgBoss
  private readonly log: Log
  private readonly settling: Settling
  private readonly pumps = new Map<string, Pump>()
  private readonly names: string[]
  private readonly alone: Alone | undefined
  private timer: NodeJS.Timeout | undefined
  private looking: Promise<void> | undefined
  private isStopping = false
  private isTroubled = false
  private touchedAt = 0
  private busyAt = performance.now()
  private sweptAt = 0
  private readonly lostAfterMs: number

  private constructor(options: JobWorkerOptions, boss: PgBoss) {
    this.options = options
    this.boss = boss
    this.names = options.jobs.map(({ name }) => name)
    const { database, context } = options
    const log = options.log.for("jobs")
    this.log = log
    this.settling = new Settling({ boss, db: database.db, log })
    this.lostAfterMs = lostAfterMs(options.blockTimeoutMs)
    const stuck = ({ job, id }: Attempt) => {
      log.error(`HARAKIRI: job ${job.name} (${id}) goes on although it was told to stop.`)
      options.onStuck?.(`its job ${job.name} did not stop`)
    }
    const shared = { boss, db: database.db, context, log, settling: this.settling, stuck }
    if (options.runs !== "crowd") this.alone = new Alone(options.jobs, shared)
    if (options.runs !== "alone") for (const job of options.jobs) this.pumps.set(job.name, new Pump(job, shared))
  }

  /** Begins. Its jobs are known to the database already, see `declareJobs`. */
  static async start(options: JobWorkerOptions): Promise<JobWorker> {
    const { database, jobs, log, runs } = options
    const isMain = runs !== "alone"
    const schedules = isMain && jobs.some(({ schedule }) => schedule)
    let worker: JobWorker | undefined
    // What was notified before it is there, it sees when it begins.
    const listenTo = (channel: string) => listen(database.address, channel, (name) => worker?.heard(name))
    const boss = await openBoss(database.pool, { supervises: isMain, schedules }, log, isMain ? listenTo : undefined)
    if (isMain) await scheduleCrons(boss, jobs)
    worker = new JobWorker(options, boss)
    worker.timer = setInterval(() => worker.look(), lookEveryMs)
    await worker.look()
    return worker
  }

  /** How many run now, and have ended. */
  get counts(): { running: number; ended: number } {
    return {
      running: this.attempts.length,
      ended: this.runners.reduce((sum, { ended }) => sum + ended, 0),
    }
  }

  /** What runs now, as the log shows it. */
  get inFlight(): InFlight[] {
    const shown = ({ id, job, began }: Attempt): InFlight => ({
      id,
      method: "job",
      route: job.name,
      user: undefined,
      ms: Math.round(performance.now() - began),
    })
    const current = currentScope()
    // First the one that the process works for at this moment, if it stands still.
    return this.attempts.sort((a, b) => Number(b === current) - Number(a === current)).map(shown)
  }

  /** For how long nothing has run, in milliseconds. */
  get idleMs(): number {
    return this.attempts.length > 0 ? 0 : performance.now() - this.busyAt
  }

  /** Lets jobs end for so long, gives back the rest, and ends. */
  async stop(limitMs: number): Promise<void> {
    if (this.isStopping) return
    this.isStopping = true
    const limit = performance.now() + limitMs
    await Promise.all(this.runners.map((runner) => runner.stop()))
    const { promise: late, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, Math.max(0, limit - performance.now()))
    await Promise.race([Promise.all(this.runners.flatMap(({ running }) => [...running.values()])), late])
    clearTimeout(timer)
    await this.giveBackRest()
    await this.settling.finish(Math.max(1000, limit - performance.now()))
    clearInterval(this.timer)
    await this.looking
    await this.boss.stop({ graceful: false })
    await this.options.database.close()
  }

  private get runners(): (Pump | Alone)[] {
    return this.alone ? [...this.pumps.values(), this.alone] : [...this.pumps.values()]
  }

  private get attempts(): Attempt[] {
    return this.runners.flatMap(({ running }) => [...running.keys()])
  }

  /** Something was sent; without a name it may be anything. */
  private heard(name: string | undefined): void {
    if (name === undefined) for (const pump of this.pumps.values()) pump.fill()
    else this.pumps.get(name)?.fill()
  }

  /** Once a second; a look that takes longer leaves the next one out. */
  private look(): Promise<void> {
    this.looking ??= this.lookOnce()
      .then(() => {
        this.isTroubled = false
      })
      .catch((error: Error) => {
        if (!this.isTroubled && !isUnreachable(error)) this.log.error({ err: error }, "Jobs cannot be looked for.")
        this.isTroubled = true
      })
      .finally(() => {
        this.looking = undefined
      })
    return this.looking
  }

  private async lookOnce(): Promise<void> {
    const now = performance.now()
    const due = await askDue(this.options.database.db, this.names)
    if (now - this.touchedAt >= touchEveryMs) await this.touch(now)
    if (this.isStopping) return
    for (const name of due.ready) this.pumps.get(name)?.fill()
    if (this.attempts.length > 0 || due.suspects.length > 0) this.busyAt = now
    if (due.suspects.length > 0) {
      if (this.alone) this.alone.run()
      else this.options.onSuspects?.()
    }
    if (this.options.runs !== "alone") await this.tidy(now)
  }

  /** Says that they run, and calls off what is no longer ours: cancelled, or given to another process. */
  private async touch(now: number): Promise<void> {
    const byName = Map.groupBy(this.attempts, ({ job }) => job.name)
    for (const [name, attempts] of byName) {
      const fetched = attempts.map(({ fetched }) => fetched)
      const response = await this.boss.touch(name, fetched)
      if (affected(response) === attempts.length) continue
      const { settled } = response as { settled: string[] }
      for (const attempt of attempts) {
        // One that ended meanwhile is not ours any more either.
        if (settled.includes(attempt.fetched.id) || !this.attempts.includes(attempt)) continue
        attempt.callOff(new ClaimLost("It was cancelled, or is another process's by now."))
      }
    }
    this.touchedAt = now
  }

  private async tidy(now: number): Promise<void> {
    const { db } = this.options.database
    const { isSteady, asked } = await askSteadiness(db, this.lostAfterMs)
    if (isSteady) {
      const lost = { asked, afterMs: this.lostAfterMs }
      const { count, dead } = await rescueLost({ db, boss: this.boss }, this.names, lost)
      if (count > 0) this.log.warn(`${count} jobs ran in a process that is gone; they are tried again, each alone.`)
      for (const { name, id } of dead) {
        this.log.error(`job ${name} (${id}) ran in a process that is gone; it was the last attempt: a dead letter.`)
      }
      await rescueTicks(db, lost)
    }
    if (now - this.sweptAt > sweepEveryMs) {
      this.sweptAt = now
      await sql`delete from trestle.unique_jobs where until < now()`.execute(this.options.database.db)
      await sql`delete from trestle.job_progress where reported < now() - interval '90 days'`.execute(
        this.options.database.db,
      )
    }
  }

  private async giveBackRest(): Promise<void> {
    const rest = this.attempts
    if (rest.length === 0) return
    const ended = new ClaimLost("The process ends, and it did not end in time: another one runs it.")
    for (const attempt of rest) attempt.callOff(ended)
    await giveBack(
      this.options.database.db,
      rest.map(({ fetched }) => fetched),
    ).catch((error: Error) =>
      this.log.error({ err: error }, "Jobs could not be given back; they are tried again later."),
    )
  }
}
