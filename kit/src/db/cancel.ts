/**
 * Cancels in PostgreSQL what nobody waits for any more. Kysely gets its connections from the pool made here; each one
 * listens to the scope of the request that it works for, and comes back to the pool only when a cancel was answered, so
 * that another request is never hit.
 */
import pg from "pg"
import { currentScope, type Scope } from "../core/scope.ts"

/** How long a cancel may take, in milliseconds, before its connection is thrown away instead of used again. */
const cancelTimeoutMs = 1000

/** Why the work of a connection was called off, and whether the server has answered the cancel. */
export interface CalledOff {
  reason: Error
  answered: Promise<boolean>
}

/** What our connections have besides what pg declares. */
type Connection = pg.PoolClient & {
  calledOff: CalledOff | undefined
  processID: number
  secretKey: number
  sslNegotiation: string
}

/** The pool as Kysely takes it. */
export function cancellable(pool: pg.Pool) {
  return {
    options: pool.options,
    end: () => pool.end(),
    async connect(): Promise<pg.PoolClient> {
      const scope = currentScope()
      if (!scope) return pool.connect()
      if (scope.abortReason) throw scope.abortReason
      return connectFor(scope, pool)
    },
  }
}

/** Waits for a connection until the work is called off; one that comes after that goes straight back. */
function connectFor(scope: Scope, pool: pg.Pool): Promise<Connection> {
  return new Promise((resolve, reject) => {
    scope.onAbort(reject)
    pool.connect((error, client) => {
      scope.offAbort(reject)
      if (error) return reject(error)
      if (scope.abortReason) return client!.release()
      cancelWith(scope, client as Connection)
      resolve(client as Connection)
    })
  })
}

/** Ties a connection to the work, until it is released. */
function cancelWith(scope: Scope, client: Connection): void {
  const callOff = (reason: Error) => {
    client.calledOff = { reason, answered: cancel(client) }
  }
  scope.onAbort(callOff)

  const release = client.release
  client.release = (error?: Error | boolean) => {
    scope.offAbort(callOff)
    if (!client.calledOff) return release(error)
    void client.calledOff.answered.then((answered) => {
      client.calledOff = undefined
      // A cancel that may still be on its way would hit whoever has the connection next.
      release(answered ? error : true)
    })
  }
}

/** What pg does not declare of its `Connection`, which speaks the protocol without logging in. */
interface Wire extends NodeJS.EventEmitter {
  stream: { destroy(): void }
  connect(port: number | string, host?: string): void
  requestSsl(): void
  cancel(processId: number, secretKey: number): void
}

/**
 * Asks the server to end what the connection is doing, over a connection of its own (encrypted where the first one is).
 * True when the server has answered by closing it; the running query then fails with 57014.
 * @see https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS
 */
function cancel({ ssl, sslNegotiation, host, port, processID, secretKey }: Connection): Promise<boolean> {
  return new Promise((resolve) => {
    const wire = new pg.Connection({ ssl, sslNegotiation } as pg.ConnectionConfig) as unknown as Wire
    const timer = setTimeout(() => settle(false), cancelTimeoutMs)
    let sent = false
    const settle = (answered: boolean) => {
      clearTimeout(timer)
      wire.stream.destroy()
      resolve(answered)
    }
    const send = () => {
      wire.cancel(processID, secretKey)
      sent = true
    }
    wire.on("connect", () => {
      if (!ssl) send()
      // With direct negotiation pg encrypts at once, without asking.
      else if (sslNegotiation !== "direct") wire.requestSsl()
    })
    wire.on("sslconnect", send)
    wire.on("error", () => settle(false))
    wire.on("end", () => settle(sent))
    if (host.startsWith("/")) wire.connect(`${host}/.s.PGSQL.${port}`)
    else wire.connect(port, host)
  })
}
