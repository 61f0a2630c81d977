/**
 * Brute force: how many passwords may be tried, counted in the database, so over all processes and restarts. Nobody can lock an
 * owner out: a browser that logged in to the account before has a counter of its own, which nobody else can fill.
 *
 * The windows are fixed: the first attempt opens one, and what is refused is not counted, so that whoever goes on does not
 * prolong it. Around its end a guesser can thus have twice a limit in a short time, and no more after that.
 */
import { hash } from "node:crypto"
import { type RawBuilder, sql } from "kysely"
import { HttpError } from "../core/errors.ts"
import { clientNetwork, plainAddress } from "../core/networks.ts"
import type { Db } from "../db/database.ts"
import { fold } from "./fold.ts"

/** Somebody tries a password. */
export interface LoginAttempt {
  /** The e-mail address that was given, whether or not it has an account: the answer must not tell. */
  account: string
  /** Where it comes from, as in `request.ip`. */
  address: string
  /** The id of a browser that logged in to this very account before. The caller has verified it. */
  browser?: string | undefined
}

/** How many wrong passwords may be tried in a window of time; or how often whatever else is counted by accounts may be done. */
export interface LoginLimitSettings {
  /** What is counted, apart from logins. */
  counts?: string
  /** What those are told who are refused. Default "Too many wrong passwords." */
  refusal?: string
  /** Default 15 minutes, in milliseconds. */
  windowMs?: number
  /** For one account from one address, and for one account from a browser that it knows. Default 10: nobody mistypes more. */
  perAccountAndAddress?: number
  /** For one account from all others, against guessers with many addresses. Default 50. */
  perAccount?: number
  /** For all accounts from one address (IPv6: from one /64), against one password tried on many. Default 100. */
  perAddress?: number
}

export interface LoginLimits {
  /**
   * Counts an attempt before its password is looked at: of guesses that come at once, no more pass than of others.
   * @throws HttpError 429 when a limit is reached, without saying which
   */
  begin(attempt: LoginAttempt): Promise<void>
  /** The password was right: the attempt counts no more, and those of this account from this address or browser are forgotten. */
  succeeded(attempt: LoginAttempt): Promise<void>
  /** The password was not looked at, as when the server was too busy: the attempt counts no more. */
  takeBack(attempt: LoginAttempt): Promise<void>
  /** Deletes the counts whose window has ended. Without it the table grows with each new address that somebody gives. */
  sweep(): Promise<void>
}

/** Something that attempts are counted by. */
interface Counter {
  key: Buffer
  /** The count at which no more are let through. */
  limit: number
}

/** How many counts are deleted at once, so that no statement takes long. */
const sweepAtOnce = 10_000

export function createLoginLimits(db: Db, settings: LoginLimitSettings = {}): LoginLimits {
  const { windowMs = 15 * 60_000, perAccountAndAddress = 10, perAccount = 50, perAddress = 100 } = settings
  const { counts, refusal = "Too many wrong passwords." } = settings

  /** All statements take their rows in this order, so that none waits for one that waits for it. */
  function countersOf({ account, address, browser }: LoginAttempt): [Counter, ...Counter[]] {
    // Coarser than any way to find an account: whatever spelling of its address finds it, one counter counts. No longer address
    // can have one.
    const who = fold(account.slice(0, 320)).trim()
    // JSON keeps the parts apart, whatever is in them.
    const keyOf = (...parts: string[]): Buffer =>
      hash("sha256", JSON.stringify(counts ? [counts, ...parts] : parts), "buffer")
    if (browser !== undefined) return [{ key: keyOf("browser", who, browser), limit: perAccountAndAddress }]
    const where = clientNetwork(plainAddress(address) ?? address)
    return [
      { key: keyOf("both", who, where), limit: perAccountAndAddress },
      { key: keyOf("account", who), limit: perAccount },
      { key: keyOf("address", where), limit: perAddress },
    ]
  }

  return {
    async begin(attempt) {
      const counters = countersOf(attempt)
      const { rows } = await sql<{ seconds: number | null; counted: boolean }>`
        with reached as (
          select ceil(extract(epoch from max(ends) - now()))::int as seconds
          from trestle.login_limits join (values ${sql.join(counters.map(rowOf))}) as counters (key, most) using (key)
          where count >= most and ends > now()
        ), step0 as (
          select from reached where seconds is null
        ), ${sql.join(counters.map((counter, i) => sql`${stepName(i + 1)} as (${countIn(counter, i, windowMs)})`))}
        select seconds, exists (select from ${stepName(counters.length)}) as counted from reached`.execute(db)
      // When one of several that came at once took the last place, how long that lasts is not known here.
      if (!rows[0]?.counted) throw tooMany(refusal, rows[0]?.seconds ?? Math.ceil(windowMs / 1000))
    },

    async succeeded(attempt) {
      const [own, ...shared] = countersOf(attempt)
      await inTurn([forget(own), ...shared.map(discount)]).execute(db)
    },

    async takeBack(attempt) {
      await inTurn(countersOf(attempt).map(discount)).execute(db)
    },

    async sweep() {
      let deleted = sweepAtOnce
      while (deleted === sweepAtOnce) {
        // It waits for no row, so nothing that waits for it can wait for ever.
        const { numAffectedRows } = await sql`
          delete from trestle.login_limits where key in (
            select key from trestle.login_limits where ends <= now() limit ${sweepAtOnce} for update skip locked
          )`.execute(db)
        deleted = Number(numAffectedRows)
      }
    },
  }
}

const rowOf = ({ key, limit }: Counter) => sql`(${key}::bytea, ${limit}::int)`

const stepName = (number: number) => sql.raw(`step${number}`)

/** Counts one if the step before did and the limit is not reached, which the row itself says when many come at once. */
const countIn = ({ key, limit }: Counter, stepBefore: number, windowMs: number) => sql`
  insert into trestle.login_limits as kept (key, count, ends)
  select ${key}::bytea, 1, now() + ${windowMs} * interval '1 millisecond' from ${stepName(stepBefore)}
  on conflict (key) do update set
    count = case when kept.ends > now() then kept.count else 0 end + 1,
    ends = case when kept.ends > now() then kept.ends else excluded.ends end
  where kept.ends <= now() or kept.count < ${limit}
  returning key`

const forget = ({ key }: Counter) => sql`delete from trestle.login_limits where key = ${key}`

const discount = ({ key }: Counter) => sql`
  update trestle.login_limits set count = count - 1 where key = ${key} and count > 0 and ends > now()`

/** One statement that makes several changes, each when the one before is done; PostgreSQL would choose an order of its own. */
function inTurn(changes: RawBuilder<unknown>[]): RawBuilder<unknown> {
  const steps = changes.map((change, i) => {
    const isBeforeDone = i === 0 ? sql`true` : sql`(select count(*) from ${stepName(i - 1)}) >= 0`
    return sql`${stepName(i)} as (${change} and ${isBeforeDone} returning key)`
  })
  return sql`with ${sql.join(steps)} select count(*) from ${stepName(changes.length - 1)}`
}

function tooMany(refusal: string, seconds: number): HttpError {
  const minutes = Math.ceil(seconds / 60)
  const detail = `${refusal} Try again in ${minutes === 1 ? "1 minute" : `${minutes} minutes`}.`
  return new HttpError(429, detail, { headers: { "retry-after": String(seconds) } })
}
