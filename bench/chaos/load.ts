/** Clients that ask a server while something happens to it, in a process of their own. */
import { fork } from "node:child_process"
import { once } from "node:events"

/** What is asked. */
export interface Ask {
  /** Default GET. */
  method?: "GET" | "POST"
  path: string
  /** Whether it carries a body, `{"n": …}`, with a number that no other request has. */
  isNumbered?: boolean
}

export interface Task {
  url: string
  /** Each request is one of these, at random. */
  asks: Ask[]
  /** The first number. Default 0. */
  numbersFrom?: number
  /** How many clients, each with a connection of its own and one request at a time. */
  clients: number
  /** After so many requests they stop; without it when they are told to. */
  count?: number
  /** The share of clients that wait up to 6 s after each answer, so that their connection may be closed meanwhile. Default 0. */
  idleShare?: number
  /** How long the others wait. Default 0. */
  pauseMs?: number
  /** Default true; otherwise each request has a connection of its own. */
  keepAlive?: boolean
  /** From so many addresses, as a proxy tells them. */
  addresses?: number
  headers?: Record<string, string>
  /** How long an answer is meant to take: 3 s more is a hang. Default 0. */
  expectedMs?: number
}

/** A request that was not answered as it should be: with what status or error, and on whose connection. */
export interface Failure {
  why: string
  /** The process that had answered on this connection before; undefined on a new one. */
  pid?: number | undefined
  /** For how long the connection had had nothing to do; undefined on a new one. */
  restedMs?: number | undefined
  began: number
  ended: number
}

export interface Outcome {
  sent: number
  /** How many answers of each status. */
  statuses: Record<string, number>
  /** How many requests got another answer than 2xx, or none. */
  failed: number
  failures: Failure[]
  longestMs: number
  /** How many answers of each process. */
  pids: Record<string, number>
}

export interface Load extends AsyncDisposable {
  /** When they have stopped by themselves. */
  outcome: Promise<Outcome>
  /** Lets them get the answers that they wait for, and `least` in all. */
  stop(least?: number): Promise<Outcome>
}

export function startLoad(task: Task): Load {
  const child = fork(new URL("./client.ts", import.meta.url), { stdio: ["ignore", "inherit", "inherit", "ipc"] })
  const outcome = Promise.race([
    once(child, "message").then(([message]) => message as Outcome),
    once(child, "exit").then(([code, signal]) => {
      throw new Error(`The clients ended with ${signal ?? code}`)
    }),
  ])
  outcome.catch(() => {})
  child.send(task)
  return {
    outcome,
    stop(least = 0) {
      if (child.connected) child.send({ stopAt: least })
      return outcome
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null && child.kill("SIGKILL")) await once(child, "exit")
    },
  }
}

/** A process that was killed, and when. */
export interface Kill {
  pid: number
  at: number
}

/** How long after a kill the client may learn of it. */
const noticedMs = 1000

/**
 * The failures that no kill excuses: those of requests that were not in flight on a connection of a process that was killed.
 * A new connection has not said yet whose it is.
 */
export function unexcused(failures: Failure[], kills: Kill[]): Failure[] {
  const isCut = ({ why }: Failure) => ["ECONNRESET", "EPIPE", "body: ECONNRESET"].includes(why)
  return failures.filter(
    (failure) =>
      !isCut(failure) ||
      !kills.some(
        ({ pid, at }) =>
          (failure.pid ?? pid) === pid && failure.began <= at + noticedMs && Math.abs(failure.ended - at) <= noticedMs,
      ),
  )
}

/** `"3 ECONNRESET, 1 503; the first: …"`, or "none". */
export function whyOf(failures: Failure[]): string {
  const [first] = failures
  if (!first) return "none"
  const counts = new Map<string, number>()
  for (const { why } of failures) counts.set(why, (counts.get(why) ?? 0) + 1)
  const connection =
    first.pid === undefined
      ? "a new connection"
      : `a connection of process ${first.pid} that had rested for ${first.restedMs} ms`
  return (
    `${[...counts].map(([why, count]) => `${count} ${why}`).join(", ")}; the first on ${connection}, ` +
    `${first.ended - first.began} ms after it was asked`
  )
}
