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

/** Sends `count` requests and counts the answers by their status. */
function run({ port, requests, connections, count }: Load): Promise<Record<string, number>> {
  const statuses: Record<string, number> = {}
  let sent = 0
  let open = connections
  return new Promise((resolve, reject) => {
    for (let i = 0; i < connections; i++) {
      const socket = net.connect(port, "127.0.0.1")
      let missing = 0
      let pending = Buffer.alloc(0)
      const next = () => {
        if (sent < count) socket.write(requests[sent++ % requests.length]!)
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
        const length = status === "304" ? 0 : Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0)
        missing = length - (pending.length - end - headEnd.length)
        pending = Buffer.alloc(0)
        if (missing === 0) next()
      })
      socket.on("error", reject)
      socket.on("close", () => --open === 0 && resolve(statuses))
    }
  })
}

/**
 * Keeps this process awake. One that sleeps has to be woken by each answer, at the server's cost, and the slower the server
 * the more often it sleeps: on virtual machines that is a third of what is measured.
 */
let isRunning = false
const stayAwake = (): void => void (isRunning && setImmediate(stayAwake))

process.on("message", async (load: Load) => {
  isRunning = true
  stayAwake()
  const statuses = await run(load)
  isRunning = false
  process.send?.(statuses)
})
