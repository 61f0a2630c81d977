/**
 * One connection to PostgreSQL, as our pool makes them: pg's own client with named statements, moments as ISO strings,
 * and the statement kept on an error. Nothing here changes `pg.types` or any other pool of the process.
 */
import { createHash } from "node:crypto"
import { inspect } from "node:util"
import pg from "pg"
import type { Log } from "../core/log.ts"
import type { CalledOff } from "./cancel.ts"
import { DatabaseClient } from "./database-client.ts"
import { type Shapes, Statement } from "./statement.ts"

/** How many different statements a process names. Each costs every connection some memory in the server. */
const namedAtMost = 500

/** Longer texts, such as an insert of many rows, are seldom asked twice and cost memory here. */
const namedLengthAtMost = 10_000

/** What all connections of a pool share. */
export interface ConnectionSettings {
  /** Whether statements get names, so that PostgreSQL parses each once (+38 % reads); off for old PgBouncers. */
  preparedStatements: boolean
  /** Prints each statement with its time; `"values"` with its values too. */
  logSql: false | true | "values"
  log: Log
}

/** Makes the class of connections for one pool. */
export function connectionClass({ preparedStatements, logSql, log }: ConnectionSettings): typeof pg.Client {
  const names = new Map<string, string>()
  const seenOnce = new Set<string>()
  const shapes: Shapes = new Map()

  /** A name from the second use on: what is asked once, such as a list of changing length, should not fill the server. */
  function nameOf(text: string): string | undefined {
    const known = names.get(text)
    if (known || names.size >= namedAtMost || text.length > namedLengthAtMost) return known
    if (!seenOnce.delete(text)) {
      if (seenOnce.size >= 4 * namedAtMost) seenOnce.clear()
      seenOnce.add(text)
      return undefined
    }
    // Several commands in one text cannot be prepared.
    if (!/^\s*(select|insert|update|delete|with)\b[^;]*$/i.test(text)) return undefined
    const name = createHash("sha1").update(text).digest("base64url")
    names.set(text, name)
    return name
  }

  /**
   * A migration changed what the statement returns, or the server forgot it: it gets a new name everywhere, since the old
   * one still stands in other connections.
   */
  function rename(text: string, staleName: string): void {
    if (names.get(text) !== staleName) return
    const [base, version = 0] = staleName.split(".")
    names.set(text, `${base}.${Number(version) + 1}`)
    shapes.delete(staleName)
  }

  return class Connection extends DatabaseClient {
    /** Set when the work that holds this connection was called off; only `rollback` passes from then on. */
    calledOff: CalledOff | undefined

    // biome-ignore lint/suspicious/noExplicitAny: pg declares nine overloads, and we pass eight of them through.
    override query(query: any, values?: any, callback?: any): any {
      if (this.calledOff) return this.afterCalledOff(this.calledOff, query)
      if (typeof query !== "string" || typeof values === "function" || callback) {
        return super.query(query, values, callback)
      }
      return logSql ? this.timed(query, values) : this.run(query, values)
    }

    private async afterCalledOff({ reason, answered }: CalledOff, query: unknown): Promise<pg.QueryResult> {
      if (query !== "rollback") throw reason
      // Otherwise the cancel, still on its way, might hit the rollback.
      await answered
      return super.query(query)
    }

    private async run(text: string, values: unknown[] = []): Promise<pg.QueryResult> {
      const name = preparedStatements ? nameOf(text) : undefined
      try {
        return await this.send(text, values, name)
      } catch (error) {
        if (name && isStalePlan(error)) {
          rename(text, name)
          // A failed transaction takes no more statements; there the next one to use the statement has the new name.
          if (!inTransaction(this) && !this.calledOff) return this.run(text, values)
        }
        // Its own stack begins at the socket; this one leads to whoever asks.
        if (error instanceof Error) Error.captureStackTrace(error)
        throw withStatement(error, text)
      }
    }

    /** As pg does it for an object, but without copying that, which alone costs a twentieth of a small query. */
    private send(text: string, values: unknown[], name: string | undefined): Promise<pg.QueryResult> {
      return new Promise((resolve, reject) => {
        const settle = (error: Error | undefined, result: pg.QueryResult) => (error ? reject(error) : resolve(result))
        super.query(new Statement(text, values, name, shapes, settle))
      })
    }

    private async timed(text: string, values?: unknown[]): Promise<pg.QueryResult> {
      const began = performance.now()
      try {
        return await this.run(text, values)
      } finally {
        const shown = logSql === "values" && values?.length ? ` ${inspect(values, { breakLength: Infinity })}` : ""
        log.info(`${(performance.now() - began).toFixed(1)} ms ${text.replace(/\s+/g, " ").trim()}${shown}`)
      }
    }
  }
}

/**
 * "cached plan must not change result type" (known by its place in PostgreSQL's source: its text may be translated), or a
 * name that the server does not know (a pooler in between, or DEALLOCATE).
 */
const isStalePlan = (error: unknown): boolean =>
  error instanceof pg.DatabaseError &&
  ((error.code === "0A000" && error.routine === "RevalidateCachedQuery") || error.code === "26000")

/** pg keeps the transaction status of the server's last answer: I idle, T in a transaction, E in a failed one. */
const inTransaction = (client: pg.Client) => (client as unknown as { _txStatus: string | null })._txStatus !== "I"

/** Keeps the statement with the error, hidden from loggers that print fields. */
function withStatement(error: unknown, text: string): unknown {
  if (error instanceof Error)
    Object.defineProperty(error, "statement", { value: text, enumerable: false, configurable: true })
  return error
}

/** The statement that an error of the database came from, if it is known. */
export const statementOf = (error: unknown): string | undefined =>
  error instanceof Error ? (error as Error & { statement?: string }).statement : undefined

/** Types whose text we read ourselves. The numbers are PostgreSQL's, from pg_type.dat. */
const timestamptz = 1184
const keptAsText = new Set([1082 /* date */, 1114 /* timestamp */])

/** How our pool reads a type: moments as ISO strings, dates without a zone as they are, the rest as pg does. */
export const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: "text" | "binary") => {
    if (format === "binary") return pg.types.getTypeParser(oid, format)
    if (oid === timestamptz) return toIso
    if (keptAsText.has(oid)) return asIs
    return pg.types.getTypeParser(oid)
  }) as pg.CustomTypesConfig["getTypeParser"],
}

const asIs = (text: string) => text

/**
 * `2026-11-20 09:30:00.1+00` → `2026-11-20T09:30:00.100000Z`: cut, not parsed, which makes a list of 20 rows 38 % cheaper
 * than through `Date`. PostgreSQL leaves out zeros at the end of the fraction; they come back, so that strings sort.
 * "infinity" and years before Christ have no such form and stay as they are.
 */
export function toIso(text: string): string {
  if (text.length === 29 && text.endsWith("+00")) return `${text.slice(0, 10)}T${text.slice(11, 26)}Z`
  const parts = /^(\d{4,}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d+))?([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?$/.exec(text)
  if (!parts) return text
  const [, date, time, fraction = "", sign, hours, minutes = 0, seconds = 0] = parts
  const offset = Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)
  // Another zone than UTC: a pooler handed out its own session, or the statement before set it.
  const whole = offset === 0 ? `${date}T${time}` : shifted(`${date}T${time}Z`, sign === "-" ? offset : -offset)
  return whole ? `${whole}.${fraction.padEnd(6, "0")}Z` : text
}

/** The moment so many seconds later, without a fraction; undefined beyond the year 9999, which `Date` reads otherwise. */
function shifted(moment: string, seconds: number): string | undefined {
  const time = Date.parse(moment) + seconds * 1000
  return Number.isNaN(time) ? undefined : new Date(time).toISOString().slice(0, 19)
}
