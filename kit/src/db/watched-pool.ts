/**
 * A pool that notices when the server has stopped answering: it hangs, or its machine vanished without a word. On its own
 * connection a slow query on a server that is well looks the same, so when nothing at all comes from the server while something
 * is waited for, it is asked on a connection apart. Without an answer the pool's connections are broken off, which fails what
 * waits on them, and none is made until the server answers again. A query costs nothing here: one timer looks at all connections,
 * and stops when none is in use.
 */
import pg from "pg"
import type { Log } from "../core/log.ts"
import { type Client, DatabaseUnreachable, looksForAnswer, ServerQuestion, type Stream } from "./server-question.ts"

/** How often the connections are looked at, in milliseconds. */
const lookEveryMs = 150

/**
 * Without a byte in so many looks in a row the server is asked, and {@link looksForAnswer} later it is away: 1.4 s after its last
 * byte at most, since requests are promised their 503 within two. Looks are counted and not time, because a process that was busy
 * or stopped itself has heard nothing either.
 */
const looksBeforeAsking = 2

type ConnectCallback = (
  error: Error | undefined,
  client: pg.PoolClient | undefined,
  done: (release?: unknown) => void,
) => void

/** What pg's pool has besides what it declares. It counts only for the version that the kit pins. */
type Pool = pg.Pool & {
  _clients: Client[]
  _pendingQueue: { callback: ConnectCallback }[]
}

export class WatchedPool extends pg.Pool {
  private readonly watch: Watch

  constructor(options: pg.PoolConfig, log: Log) {
    super(options)
    this.watch = new Watch(this as unknown as Pool, log)
  }

  override connect(): Promise<pg.PoolClient>
  override connect(callback: ConnectCallback): void
  override connect(callback?: ConnectCallback): unknown {
    if (this.watch.isAway) {
      const error = new DatabaseUnreachable()
      return callback ? callback(error, undefined, () => {}) : Promise.reject(error)
    }
    this.watch.begin()
    return super.connect(callback as ConnectCallback)
  }

  override async end(): Promise<void> {
    const streams = (this as unknown as Pool)._clients.map(({ connection }) => connection.stream)
    try {
      await super.end()
    } finally {
      this.watch.end()
      // A server that hangs does not answer the goodbye, and the open socket would keep the process.
      if (streams.some(isOpen)) setTimeout(() => streams.filter(isOpen).forEach(destroy), 1000).unref()
    }
  }

  /** Asks the server, apart from the pool, whether it is there; rejects at once while it is known to be away. */
  async ask(): Promise<void> {
    if (this.watch.isAway) throw new DatabaseUnreachable()
    this.watch.begin()
    await this.watch.ask()
  }
}

const isOpen = (stream: Stream) => !stream.destroyed
const destroy = (stream: Stream) => stream.destroy()

class Watch {
  /** Whether the server is known not to answer. */
  isAway = false
  private readonly pool: Pool
  private readonly log: Log
  private readonly question: ServerQuestion
  private timer: NodeJS.Timeout | undefined
  /** Looks in a row in which nothing came although something was waited for. */
  private silent = 0
  /** How many bytes each connection had received at the last look. */
  private readonly received = new WeakMap<Client, number>()

  constructor(pool: Pool, log: Log) {
    this.pool = pool
    this.log = log
    this.question = new ServerQuestion(pool.options)
  }

  /** Looks from now on, as long as connections are in use. */
  begin(): void {
    this.timer ??= setInterval(() => this.look(), lookEveryMs).unref()
  }

  end(): void {
    clearInterval(this.timer)
    this.question.drop()
  }

  async ask(): Promise<void> {
    try {
      await this.question.ask()
    } catch (error) {
      // A server that refuses is there all the same, and who connects is told what it refuses with.
      if (error instanceof pg.DatabaseError) this.answered()
      if ((error as { code?: string }).code !== tooManyConnections) throw error
    }
    this.answered()
  }

  private answered(): void {
    this.silent = 0
    if (this.isAway) this.log.info("The database answers again.")
    this.isAway = false
  }

  private look(): void {
    const { pool, question } = this
    const isHeard = this.hear()
    const isGreeted = question.look()
    const isDue = question.isAsked || pool.waitingCount > 0 || pool._clients.some(isWaiting)
    if (isHeard || !isDue) this.silent = 0
    // A pooler in between greets also while the server behind it is away: only the answer proves that it is there.
    else if (isGreeted) this.silent = Math.min(this.silent, looksBeforeAsking)
    else this.silent++

    if (this.isAway) this.ask().catch(() => {})
    else if (this.silent >= looksBeforeAsking + looksForAnswer) this.giveUp()
    else if (this.silent >= looksBeforeAsking) this.ask().catch(() => {})
    else if (!isDue && !question.isOpen && pool.idleCount === pool.totalCount) this.rest()
  }

  /** Whether anything came on the connections of the pool; the greeting of a new one does not count. */
  private hear(): boolean {
    let isHeard = false
    for (const client of this.pool._clients) {
      const before = this.received.get(client)
      const { bytesRead } = client.connection.stream
      if (before === bytesRead) continue
      this.received.set(client, bytesRead)
      if (before !== undefined) isHeard = true
    }
    return isHeard
  }

  private giveUp(): void {
    this.isAway = true
    this.log.warn("The database cannot be reached: it does not answer. Trying again until it does.")
    const { pool } = this
    for (const { callback } of pool._pendingQueue.splice(0)) callback(new DatabaseUnreachable(), undefined, () => {})
    // Half of an answer may be on its way in each. Who holds one between two queries learns of it with the next.
    for (const { connection } of pool._clients) connection.stream.destroy(new DatabaseUnreachable())
  }

  private rest(): void {
    clearInterval(this.timer)
    this.timer = undefined
  }
}

const tooManyConnections = "53300"

const isWaiting = ({ readyForQuery, _queryable }: Client) => !readyForQuery && _queryable
