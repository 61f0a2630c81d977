/**
 * Background work as an application defines it: `job` for what is sent, `cron` for what comes by the clock. Both are values that
 * `defineApp({ jobs })` lists; they run in processes of their own, at least once.
 */
import { createRequire } from "node:module"
import { type Static, type TObject, Type } from "typebox"
import { parseDuration } from "../core/duration.ts"
import { BootError } from "../core/errors.ts"
import { roles } from "../core/roles.ts"
import {
  type CronOptions,
  highestPriority,
  type Job,
  type JobHandler,
  type JobOptions,
  type NoData,
  type Schedule,
} from "./job.ts"

/** Loaded by whoever has a cron, when it is defined. */
const cronParser = (): typeof import("cron-parser") => createRequire(import.meta.url)("cron-parser")

const noData: NoData = Type.Object({})

/**
 * Defines a job: a name that stays, since it is kept with what waits, what it is told, and what it does.
 * A handler may run twice, after its process was killed: let it look first what is done already.
 * @throws BootError when an option cannot be
 * @example
 * export const tellFans = job("tell-fans", { data: Type.Object({ movieId: Id }) }, async ({ data, db, log }) => { … })
 */
export function job<S extends TObject>(name: string, options: JobOptions<S>, handler: JobHandler<Static<S>>): Job<S> {
  return define(name, { ...options, overlap: true }, handler)
}

/**
 * Defines what comes by the clock, once over all processes and machines. Five fields as in crontab(5), names allowed.
 * @throws BootError when the expression or an option cannot be
 * @example export const forgetStale = cron("forget-stale", "0 2 * * *", async ({ db }) => { … })
 */
export function cron(name: string, expression: string, handler: JobHandler<object>): Job
export function cron(name: string, expression: string, options: CronOptions, handler: JobHandler<object>): Job
export function cron(
  name: string,
  expression: string,
  ...rest: [JobHandler<object>] | [CronOptions, JobHandler<object>]
): Job {
  const [options, handler] = rest.length === 1 ? [{}, rest[0]] : rest
  const { timeZone = localTimeZone(), catchUp = false, overlap = false, ...others } = options
  const schedule = { expression, timeZone, catchUp }
  refuseExpression(name, schedule)
  return { ...define(name, { ...others, data: noData, overlap }, handler), schedule }
}

/** The next times of a schedule, after a moment. */
export function ticksOf({ expression, timeZone }: Schedule, after: Date, count = 1): Date[] {
  const ticks = cronParser().CronExpressionParser.parse(expression, { tz: timeZone, currentDate: after })
  return ticks.take(count).map((tick) => tick.toDate())
}

const localTimeZone = (): string => Intl.DateTimeFormat().resolvedOptions().timeZone

function refuseExpression(name: string, schedule: Schedule): void {
  const { expression, timeZone } = schedule
  if (expression.trim().split(/\s+/).length !== 5) {
    throw new BootError(
      `The cron "${name}" needs five fields: minute, hour, day of month, month, day of week. "${expression}" has others.`,
    )
  }
  try {
    ticksOf(schedule, new Date())
  } catch (cause) {
    throw new BootError(`The cron "${name}" cannot be "${expression}" in ${timeZone}: ${(cause as Error).message}`, {
      cause,
    })
  }
}

/** A dot marks the kit's own, such as `trestle.mail`. */
const namePattern = /^[a-z][a-z0-9-]{0,99}$|^trestle\.[a-z-]{1,50}$/

type Definition<S extends TObject> = JobOptions<S> & { overlap: boolean }

function define<S extends TObject>(name: string, options: Definition<S>, handler: JobHandler<Static<S>>): Job<S> {
  if (!namePattern.test(name)) {
    throw new BootError(
      `The name of a job is lower-case letters, digits and hyphens, 100 at most; ${JSON.stringify(name)} is not.`,
    )
  }
  const { data, retries = 5, concurrency = 10, priority = 0, readable = "admin", overlap } = options
  const refuse = (mistake: string) => new BootError(`The job "${name}" ${mistake}`)
  if (!Type.IsObject(data)) throw refuse("needs data: Type.Object({ … }), which may be empty.")
  const whole = (option: string, value: number, least: number, most: number) => {
    if (Number.isInteger(value) && value >= least && value <= most) return value
    throw refuse(`has ${option} ${value}: it is a whole number from ${least} to ${most}.`)
  }
  const duration = (
    option: "retryDelay" | "longestRetryDelay" | "timeout" | "expires" | "keep",
    standard: string,
    [least, most]: readonly [least: string, most: string],
  ) => {
    const text = options[option] ?? standard
    let ms: number
    try {
      ms = parseDuration(text)
    } catch (error) {
      throw refuse(`has ${option} ${JSON.stringify(text)}: it is ${(error as Error).message}.`)
    }
    if (ms >= parseDuration(least) && ms <= parseDuration(most)) return ms
    throw refuse(`has ${option} "${text}": it is ${least} to ${most}.`)
  }
  if (typeof readable === "string" && !roles.includes(readable)) {
    throw refuse(`is readable by "${readable}": that is no role. There are ${roles.join(", ")}.`)
  }
  if (typeof handler !== "function") throw refuse("needs a function that does it.")
  return {
    name,
    data,
    handler,
    readable,
    overlap,
    retries: whole("retries", retries, 0, 100),
    concurrency: whole("concurrency", concurrency, 1, 1000),
    priority: whole("priority", priority, -highestPriority, highestPriority),
    retryDelayMs: duration("retryDelay", "5 seconds", ["1 second", "1 hour"]),
    longestRetryDelayMs: duration("longestRetryDelay", "1 hour", ["1 second", "7 days"]),
    timeoutMs: duration("timeout", "10 minutes", ["1 ms", "23 hours"]),
    expiresMs: duration("expires", "14 days", ["1 second", "365 days"]),
    keepMs: duration("keep", "7 days", ["1 second", "365 days"]),
  }
}
