/**
 * LISTEN on a connection of its own, made again when it was lost. What it tells is a hint: notifications get lost with the
 * connection, and a pooler in between may deliver none, so whoever listens looks from time to time all the same.
 */
import pg from "pg"
import { connectionOptions, type DatabaseAddress } from "./database.ts"

const connectWithinMs = 2000
const reconnectAfterMs = 1000

/**
 * Calls `heard` with what is notified on the channel, and without anything when something may have been missed. Returns what
 * ends it.
 */
export function listen(address: DatabaseAddress, channel: string, heard: (payload?: string) => void): () => void {
  const options = connectionOptions(address)
  let client: pg.Client | undefined
  let timer: NodeJS.Timeout | undefined

  const connect = () => {
    const own = new pg.Client({ ...options, connectionTimeoutMillis: connectWithinMs, keepAlive: true })
    client = own
    const lost = () => {
      if (client !== own) return
      drop()
      timer = setTimeout(connect, reconnectAfterMs).unref()
    }
    own.on("error", lost)
    own.on("end", lost)
    own.on("notification", ({ payload }) => heard(payload))
    own
      .connect()
      .then(() => own.query(`listen ${channel}`))
      .then(() => heard(), lost)
  }
  /** A goodbye to a server that hangs would keep the process. */
  const drop = () => {
    const { stream } = (client as unknown as { connection: { stream: { destroy(): void } } }).connection
    client = undefined
    stream.destroy()
  }
  connect()
  return () => {
    clearTimeout(timer)
    if (client) drop()
  }
}
