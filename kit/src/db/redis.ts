/**
 * The connection to Redis or Valkey, one for each process: ioredis, whose documentation is at
 * https://github.com/redis/ioredis. Where Redis does not answer, a command fails within two seconds, and at once as long as
 * there is no connection: nothing is kept to be sent later, when nobody waits for it any more. A command that failed so may
 * have been carried out or not; none is sent twice. The connection is made again for ever.
 */
import type { Command, Redis, RedisOptions } from "ioredis"
import { BootError } from "../core/errors.ts"
import type { Log } from "../core/log.ts"

/** An open connection. */
export interface OpenRedis {
  client: Redis
  /** What every key and channel begins with, so that applications can share a Redis: `movies:`. */
  prefix: string
  /** Waits for the commands that run. May be called again. */
  close(): Promise<void>
}

/** How often it is looked whether Redis answers, in milliseconds, and in how many looks it may be silent. */
const lookEveryMs = 250
const silentLooks = 5

const options = {
  lazyConnect: true,
  // The commands of one turn of the event loop go out together.
  enableAutoPipelining: true,
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  connectTimeout: 1500,
  disconnectTimeout: 200,
  // A server that vanished without a word is noticed also while nothing is asked.
  keepAlive: 10_000,
  // Attempts come apart, so that the processes of a cluster do not connect all at once.
  retryStrategy: (attempt: number) => Math.min(50 * 2 ** attempt, 2000) * (0.5 + Math.random() / 2),
  // After a failover the address leads to another server.
  reconnectOnError: (error: Error) => error.message.includes("READONLY"),
  // All that is used of Redis is in the older protocol, which every server and proxy speaks.
  protocol: 2,
  connectionName: "trestle",
} satisfies RedisOptions

/**
 * Connects to Redis.
 * @param prefix what every key begins with
 * @throws BootError when the first attempt fails
 */
export async function openRedis(url: string, prefix: string, log: Log): Promise<OpenRedis> {
  checkDatabase(url)
  // Loaded only where it is used, since it takes a while.
  const ioredis = await import("ioredis")
  const own = log.for("redis")
  let isOpen = false
  /** Why there is no connection, as far as it is known. */
  let trouble: string | undefined

  class Connection extends ioredis.Redis {
    override sendCommand(command: Command, stream?: Parameters<Redis["sendCommand"]>[1]): unknown {
      const { reject } = command
      command.reject = (error) => reject(isLost(error) ? new RedisUnreachable(trouble, { cause: error }) : error)
      return super.sendCommand(command, stream)
    }
  }
  const client = new Connection(url, options)
  const failed = (reason: string) => {
    // Once for each outage.
    if (isOpen && !trouble) own.warn(`Redis cannot be reached: ${reason}. Trying again until it can.`)
    trouble = reason
  }
  client.on("error", (error) => failed(reasonOf(error)))
  client.on("close", () => failed(trouble ?? "the connection was lost"))
  client.on("ready", () => {
    if (trouble) own.info("Redis answers again.")
    trouble = undefined
  })
  const watch = endSilence(client)
  try {
    await client.connect()
    isOpen = true
  } catch {
    clearInterval(watch)
    endNow(client)
    throw new BootError(`Redis at ${new URL(url).host} does not work: ${trouble}. Start it, or correct REDIS_URL.`)
  }
  return {
    client,
    prefix,
    async close() {
      isOpen = false
      if (client.status === "ready") await client.quit().catch(() => {})
      clearInterval(watch)
      endNow(client)
    },
  }
}

/** Ends a connection without a goodbye: one to a server that hangs would keep the process. */
export function endNow(client: Redis): void {
  client.disconnect()
  client.stream?.destroy()
}

/** Redis cannot be reached; the answer is 503, see `isUnreachable`. */
export class RedisUnreachable extends Error {
  readonly code = "REDIS_UNREACHABLE"

  constructor(reason = "the connection was lost", options?: ErrorOptions) {
    super(reason, options)
    this.name = "RedisUnreachable"
  }
}

/** What ioredis says of commands without a connection, and Redis as long as it is not ready or no longer the main server. */
const isLost = ({ message }: Error): boolean =>
  /^(Stream isn't writeable|Reached the max retries|Connection is closed|Command aborted|LOADING |MASTERDOWN |BUSY |READONLY )/.test(
    message,
  )

/** As a part of a sentence. Where several addresses were tried, the error itself says nothing. */
const reasonOf = (error: Error): string =>
  error instanceof AggregateError && !error.message ? reasonOf(error.errors[0]) : error.message.replace(/\.$/, "")

/** ioredis would take the number 0 for a path that is no number. */
function checkDatabase(url: string): void {
  const { pathname } = new URL(url)
  if (!/^\/?\d*$/.test(pathname)) {
    throw new BootError(
      `REDIS_URL ends with ${pathname}, but a database of Redis is a number, as in redis://host:6379/0.`,
    )
  }
}

/**
 * Breaks off a connection on which an answer is due and nothing arrives. ioredis has time-outs of its own, but would
 * count the time in which this process itself was busy.
 */
function endSilence(client: Redis): NodeJS.Timeout {
  let silent = 0
  let received: number | undefined
  return setInterval(() => {
    const { stream, commandQueue } = client
    silent = commandQueue.length > 0 && stream.bytesRead === received ? silent + 1 : 0
    received = stream?.bytesRead
    if (silent < silentLooks) return
    silent = 0
    stream.destroy(new Error("it does not answer"))
  }, lookEveryMs).unref()
}
