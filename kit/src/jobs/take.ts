/** Takes jobs from the database, in order to run them. */
import type { FetchOptions, PgBoss } from "pg-boss"
import type { Log } from "../core/log.ts"
import type { Fetched } from "./attempt.ts"

/**
 * Takes what is due, and drops what has expired: pg-boss would do so within minutes, and until then have it run. `count` is how
 * many there were of both.
 */
export async function take(
  { boss, log }: { boss: PgBoss; log: Log },
  name: string,
  wanted: FetchOptions,
): Promise<{ taken: Fetched[]; count: number }> {
  const fetched: Fetched[] = await boss.fetch<Record<string, unknown>>(name, { ...wanted, includeMetadata: true })
  const expired = fetched.filter(isExpired)
  if (expired.length === 0) return { taken: fetched, count: fetched.length }
  await boss.deleteJob(name, expired)
  for (const { id } of expired) log.for(`job ${name}`).child({ reqId: id }).warn("It had expired, and is dropped.")
  return { taken: fetched.filter((one) => !expired.includes(one)), count: fetched.length }
}

/** By the clock of the database; our pool reads its moments as text that sorts. What has begun once does not expire. */
const isExpired = ({ keepUntil, startedOn }: Fetched): boolean => String(keepUntil) < String(startedOn)
