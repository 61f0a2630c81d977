/** A client that keeps connections busy, each with one request at a time; a process of its own, to leave the server its core. */
import net from "node:net"

/** What to send, and how often. */
export interface Load {
  port: number
  /** The bytes of requests, sent in turn. */
  requests: string[]
  connections: number
  count: number
}

const headEnd = Buffer.from("\r\n\r\n")

/** Sends `count` requests and counts the answers by their status, in `statuses`. */
function run({ port, requests, connections, count }: Load, statuses: Record<string, number>): Promise<void> {
  let sent = 0
  let open = connections
  return new Promise((resolve, reject) => {
    const connect = () => {
      const socket = net.connect(port, "127.0.0.1")
      let missing = 0
      let pending = Buffer.alloc(0)
      let isAsked = false
      let isLast = false
      const next = () => {
        isAsked = sent < count && !isLast
        if (isAsked) socket.write(requests[sent++ % requests.length]!)
        else socket.end()
      }
      socket.on("connect", next)
      socket.on("data", (chunk) => {
        if (missing > 0) {
          missing -= chunk.length
          if (missing === 0) next()
          return
        }
        pending = pending.length > 0 ? Buffer.concat([pending, chunk]) : chunk
        const end = pending.indexOf(headEnd)
        if (end < 0) return
        const head = pending.toString("latin1", 0, end)
        const status = head.slice(9, 12)
        statuses[status] = (statuses[status] ?? 0) + 1
        isLast = /connection: close/i.test(head)
        const length = status === "304" ? 0 : Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0)
        missing = length - (pending.length - end - headEnd.length)
        pending = Buffer.alloc(0)
        if (missing === 0) next()
      })
      socket.on("error", reject)
      socket.on("close", () => {
        if (isAsked) reject(new Error("A connection was closed before the answer came"))
        else if (sent < count) connect()
        else if (--open === 0) resolve()
      })
    }
    for (let i = 0; i < connections; i++) connect()
  })
}

/**
 * Keeps this process awake. One that sleeps has to be woken by each answer, at the server's cost, and the slower the server
 * the more often it sleeps: on virtual machines that is a third of what is measured.
 */
let isRunning = false
const stayAwake = (): void => void (isRunning && setImmediate(stayAwake))

let statuses: Record<string, number> = {}
process.on("message", async (message: Load | "so far") => {
  if (message === "so far") {
    process.send?.(statuses)
    return
  }
  statuses = {}
  isRunning = true
  stayAwake()
  await run(message, statuses)
  isRunning = false
  process.send?.(statuses)
})
