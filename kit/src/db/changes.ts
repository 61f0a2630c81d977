/**
 * Tells every process of changes that another one made, over LISTEN and NOTIFY: a notification comes exactly when the
 * transaction that sent it commits. What a process keeps in memory may be used only while {@link Changes.isCurrent}, since a
 * connection can be cut without a word.
 */

import { randomUUID } from "node:crypto"
import { sql } from "kysely"
import pg from "pg"
import type { Log } from "../core/log.ts"
import { runIn } from "../core/scope.ts"
import { connectionOptions, type Database, type DatabaseAddress, type Db } from "./database.ts"

const channel = "trestle_changes"

/** So long after the connection was last seen alive what it told is still believed, in milliseconds. */
const believedForMs = 900
/** How often it is asked, while somebody wants to know. */
const askEveryMs = 250
/** Without an answer for so long it is made anew. */
const answerWithinMs = 2000
const reconnectAfterMs = 250
/** Nobody wanted to know for so long: it is left alone until somebody does. */
const idleAfterMs = 5000

/** Who wants to be told. */
export interface Listener {
  /** Something changed: `session 5f0c…`. */
  changed(what: string): void
  /** Anything may have changed: notifications may have been missed. */
  reset(): void
}

/** Tells all processes, when the transaction of `db` commits; outside of one, at once. */
export async function announce(db: Db, what: string): Promise<void> {
  await sql`select pg_notify(${channel}, ${what})`.execute(db)
}

export class Changes {
  private readonly address: DatabaseAddress
  private readonly db: Db
  private readonly log: Log
  private readonly listener: Listener
  private client: pg.Client | undefined
  private timer: NodeJS.Timeout | undefined
  /** When a question was sent that was answered, on the connection that is open now. */
  private provenAt = Number.NEGATIVE_INFINITY
  private wantedAt = Number.NEGATIVE_INFINITY
  private isAsking = false
  private isTroubled = false
  private isClosed = false

  /** Connects when it is first asked for. */
  constructor({ address, db }: Pick<Database, "address" | "db">, log: Log, listener: Listener) {
    this.address = address
    this.db = db
    this.log = log
    this.listener = listener
  }

  /** Whether all that was committed until a second ago has been told. Asking keeps the connection looked after. */
  isCurrent(): boolean {
    const now = performance.now()
    this.wantedAt = now
    if (!this.timer && !this.isClosed) this.look()
    return now - this.provenAt < believedForMs
  }

  async close(): Promise<void> {
    this.isClosed = true
    clearTimeout(this.timer)
    await this.drop()
  }

  /** Asks or connects, and comes again as long as somebody wants to know. */
  private look(): void {
    this.timer = undefined
    if (this.isClosed || performance.now() - this.wantedAt > idleAfterMs) return
    this.timer = setTimeout(() => this.look(), this.client ? askEveryMs : reconnectAfterMs).unref()
    if (this.isAsking) return
    this.isAsking = true
    const asked = performance.now()
    this.ask()
      .then(
        (client) => {
          if (client !== this.client) return
          this.provenAt = asked
          this.isTroubled = false
        },
        (error: Error) => {
          if (!this.isTroubled && !this.isClosed) {
            this.log.warn(
              `Changes of other processes are not heard, so the database is asked each time: ${error.message}`,
            )
          }
          this.isTroubled = true
          void this.drop()
        },
      )
      .finally(() => {
        this.isAsking = false
      })
  }

  private async ask(): Promise<pg.Client> {
    const client = this.client ?? (await this.connect())
    // What was notified before the question is told before its answer.
    await client.query("select 1")
    return client
  }

  private async connect(): Promise<pg.Client> {
    const client = new pg.Client({
      ...connectionOptions(this.address),
      connectionTimeoutMillis: answerWithinMs,
      query_timeout: answerWithinMs,
      keepAlive: true,
    })
    this.client = client
    client.on("error", () => void this.drop(client))
    client.on("end", () => void this.drop(client))
    const { promise: heard, resolve: hear } = Promise.withResolvers<void>()
    const hello = `hello ${randomUUID()}`
    client.on("notification", ({ payload = "" }) => {
      if (payload === hello) hear()
      else if (!payload.startsWith("hello ")) this.listener.changed(payload)
    })
    await client.connect()
    await client.query(`listen ${channel}`)
    // A pooler that shares connections between statements takes the LISTEN, answers questions, and delivers nothing.
    await runIn(undefined, () => announce(this.db, hello))
    await within(answerWithinMs, heard)
    // What changed while nobody listened is not known.
    this.listener.reset()
    return client
  }

  /** Forgets the connection; `only` if it is this one. */
  private async drop(only?: pg.Client): Promise<void> {
    const { client } = this
    if (!client || (only && only !== client)) return
    this.client = undefined
    this.provenAt = Number.NEGATIVE_INFINITY
    // A connection that hangs would wait for its goodbye to be answered: its socket is closed instead.
    const { stream } = (client as unknown as { connection: { stream: { destroy(): void } } }).connection
    stream.destroy()
  }
}

async function within(ms: number, promise: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("notifications do not arrive (is there a pooler in between?)")), ms)
  })
  await Promise.race([promise, late]).finally(() => clearTimeout(timer))
}
