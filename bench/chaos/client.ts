/** A process that asks a server as its clients do: over connections that it keeps, and never a second time. */
import http from "node:http"
import https from "node:https"
import type { Socket } from "node:net"
import { setTimeout as pause } from "node:timers/promises"
import type { Failure, Outcome, Task } from "./load.ts"

/** An answer that takes longer is a hang. */
const hangMs = 3000
/** Enough to see what is wrong. */
const failuresAtMost = 5000

async function run(task: Task, stopAt: () => number, stopped: Promise<void>): Promise<Outcome> {
  const { request, Agent } = (task.url.startsWith("https:") ? https : http) as typeof http
  const base = new URL(task.url)
  const outcome: Outcome = { sent: 0, statuses: {}, failed: 0, failures: [], longestMs: 0, pids: {} }
  /** Which process has a connection, and when its last answer came. */
  const known = new WeakMap<Socket, { pid: number; at: number }>()

  function ask(agent: http.Agent, number: number): Promise<void> {
    const { method = "GET", path, isNumbered } = task.asks[Math.floor(Math.random() * task.asks.length)]!
    const body = isNumbered ? JSON.stringify({ n: (task.numbersFrom ?? 0) + number }) : undefined
    const headers: Record<string, string | number> = { ...task.headers }
    if (body) Object.assign(headers, { "content-type": "application/json", "content-length": body.length })
    if (task.addresses) headers["x-forwarded-for"] = addressOf(number % task.addresses)
    const began = Date.now()
    return new Promise((resolve) => {
      let socket: Socket | undefined
      const end = (why?: string) => {
        clearTimeout(hang)
        outcome.longestMs = Math.max(outcome.longestMs, Date.now() - began)
        if (why !== undefined) {
          const { pid, at } = (socket && known.get(socket)) ?? {}
          const failure: Failure = { why, pid, restedMs: at && began - at, began, ended: Date.now() }
          outcome.failed++
          if (outcome.failures.length < failuresAtMost) outcome.failures.push(failure)
        }
        resolve()
      }
      // A certificate of the server's own: nothing is sent that would need a trusted one.
      const asked = request(base, { agent, method, path, headers, rejectUnauthorized: false } as https.RequestOptions)
      const hang = setTimeout(() => asked.destroy(new Error("hang")), hangMs + (task.expectedMs ?? 0))
      asked.on("socket", (given) => (socket = given))
      asked.on("error", (error: NodeJS.ErrnoException) => end(error.code ?? error.message))
      asked.on("response", (response) => {
        const status = response.statusCode!
        let text = ""
        response.setEncoding("utf8").on("data", (chunk) => (text += chunk))
        response.on("error", (error: NodeJS.ErrnoException) => end(`body: ${error.code ?? error.message}`))
        response.on("end", () => {
          outcome.statuses[status] = (outcome.statuses[status] ?? 0) + 1
          const pid = Number(/"pid":(\d+)/.exec(text)?.[1])
          if (pid) {
            if (socket) known.set(socket, { pid, at: Date.now() })
            outcome.pids[pid] = (outcome.pids[pid] ?? 0) + 1
          }
          end(status < 300 ? undefined : String(status))
        })
      })
      asked.end(body)
    })
  }

  const isOver = () => outcome.sent >= stopAt()

  async function client(number: number): Promise<void> {
    const agent = new Agent({ keepAlive: task.keepAlive ?? true, maxSockets: 1 })
    const isIdle = number < task.clients * (task.idleShare ?? 0)
    while (!isOver()) {
      await ask(agent, outcome.sent++)
      // Who rests is not waited for in the end.
      if (isIdle) await Promise.race([pause(Math.random() * 6000), stopped])
      else if (task.pauseMs) await pause(task.pauseMs)
    }
    agent.destroy()
  }

  await Promise.all(Array.from({ length: task.clients }, (_, number) => client(number)))
  return outcome
}

const addressOf = (number: number): string => `10.${number >> 16}.${(number >> 8) & 255}.${number & 255}`

let least = Infinity
const stopped = Promise.withResolvers<void>()
process.on("message", async (message: Task | { stopAt: number }) => {
  if ("stopAt" in message) {
    least = message.stopAt
    stopped.resolve()
  } else process.send?.(await run(message, () => Math.min(least, message.count ?? Infinity), stopped.promise))
})
// Whoever started it is gone.
process.on("disconnect", () => process.exit())
// Ctrl-C is for whoever started it.
process.on("SIGINT", () => {})
