/** Connections are spread over the processes, also after one was replaced; and two cost no more for a request than one. */
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { availableParallelism } from "node:os"
import { setTimeout as pause } from "node:timers/promises"
import type { Load } from "../load.ts"
import { type Chaos, count, type Finding } from "./findings.ts"
import { type Failure, type Kill, unexcused, whyOf } from "./load.ts"
import { cpuMs, hasProc } from "./processes.ts"
import type { Project, Server } from "./site.ts"

/** More than this above its share is not balanced: what the supervisor tolerates, and one that is on its way. */
const mostOf32 = 32 * 1.125 + 2
/** How long connections may take to find their process. */
const settleMs = 4000
/** For how long the cost of requests is measured. */
const measuredMs = 4000

export async function* balance({ project, isShort }: Chaos): AsyncGenerator<Finding> {
  {
    await using server = await project.start()
    const load = server.load({ asks: [{ path: "/api/chaos/who" }], clients: 64, pauseMs: 20 })
    const kills: Kill[] = []
    const spreads: [string, number[], number][] = []
    spreads.push(["64 keep-alive connections are spread over 2 processes", ...(await settled(server))])
    const [pid] = await server.readyPids()
    kills.push({ pid: pid!, at: Date.now() })
    process.kill(pid!, "SIGKILL")
    await server.allReady([pid!])
    spreads.push(["they are spread again after one was killed", ...(await settled(server))])
    const { sent, failures } = await load.stop()
    const bad: Failure[] = unexcused(failures, kills)
    for (const [promise, spread, ms] of spreads) {
      yield {
        promise,
        figure: `${spread.join(" and ")} after ${(ms / 1000).toFixed(1)} s`,
        isKept: isSpread(spread),
      }
    }
    yield {
      promise: "moving connections between processes loses no request",
      figure: `${bad.length} failures of ${count(sent, "request")}, besides those of the kill (${whyOf(bad)})`,
      isKept: bad.length === 0,
    }
  }
  yield await cpu(project, isShort)
}

const isSpread = (spread: number[]): boolean =>
  spread.length === 2 && spread[0]! + spread[1]! >= 60 && Math.max(...spread) <= mostOf32

/** How many connections each process has when that is balanced, or was not in time. */
async function settled(server: Server): Promise<[number[], number]> {
  const began = performance.now()
  for (;;) {
    await pause(100)
    const spread = (await server.ready()).map(({ connections }) => connections)
    const ms = performance.now() - began
    if (isSpread(spread) || ms > settleMs) return [spread, ms]
  }
}

/**
 * CPU for each request at full load, with one process and with two: in turns, the least of the rounds, since noise only adds.
 * Two processes beside their clients on two cores push each other out of the caches, whoever they are: servers of Node alone
 * show how much that is on this machine.
 */
async function cpu(project: Project, isShort: boolean): Promise<Finding> {
  const promise =
    "at full load 2 processes cost a request at most 10 % more CPU than 1, besides what they cost Node alone"
  if (!hasProc) return { promise, notShown: "this system has no /proc" }
  if (isShort) return { promise, notShown: "it needs three minutes; the form without --short shows it" }
  const ours: Cost[] = []
  const bare: Cost[] = []
  for (let round = 0; round < 4; round++) {
    for (const i of [0, 1]) {
      ours[i] = less(ours[i], await ownCost(project, i + 1))
      bare[i] = less(bare[i], await bareCost(i + 1))
    }
  }
  if ([...ours, ...bare].some(({ isBusy }) => !isBusy)) {
    return { promise, notShown: "one client cannot ask as much as two processes answer on this machine" }
  }
  const tell = ([one, two]: Cost[]) =>
    `${one!.us.toFixed(1)} µs with 1, ${two!.us.toFixed(1)} µs with 2 (${((two!.us / one!.us) * 100).toFixed(0)} %)`
  const more = ([one, two]: Cost[]) => two!.us - one!.us
  return {
    promise,
    figure: `${tell(ours)}; Node alone: ${tell(bare)}`,
    isKept: more(ours) <= 0.1 * ours[0]!.us + Math.max(0, more(bare)),
  }
}

/** CPU of all processes for each request, in microseconds, and whether they had all to do that they could. */
interface Cost {
  us: number
  isBusy: boolean
}

const less = (one: Cost | undefined, other: Cost): Cost => (one && one.us < other.us ? one : other)

async function ownCost(project: Project, processes: number): Promise<Cost> {
  await using server = await project.start({ WORKERS_WEB: String(processes) })
  const port = Number(new URL(server.url).port)
  const pids = await server.readyPids()
  return await costAtFullLoad({ port, path: "/api/chaos/who", pids }, async () => {
    if (processes < 2) return
    const [spread] = await settled(server)
    if (!isSpread(spread)) throw new Error(`The connections are not balanced: ${spread.join(" and ")}`)
  })
}

async function bareCost(processes: number): Promise<Cost> {
  const children: ChildProcess[] = []
  let port = 0
  try {
    for (let i = 0; i < processes; i++) {
      const child = fork(new URL("./bare.ts", import.meta.url), [String(port)])
      children.push(child)
      port = (await once(child, "message"))[0]
    }
    return await costAtFullLoad({ port, path: "/", pids: children.map(({ pid }) => pid!) })
  } finally {
    for (const child of children) child.kill()
  }
}

/** Measures once all is warm, and `isReady`. */
async function costAtFullLoad(
  { port, path, pids }: { port: number; path: string; pids: number[] },
  isReady?: () => Promise<void>,
): Promise<Cost> {
  const client = fork(new URL("../load.ts", import.meta.url))
  const ended = once(client, "exit").then(() => Promise.reject(new Error("The client ended")))
  ended.catch(() => {})
  try {
    const requests = [`GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`]
    client.send({ port, requests, connections: 64, count: Number.MAX_SAFE_INTEGER } satisfies Load)
    await Promise.all([isReady?.(), pause(settleMs)])
    const look = async () => {
      client.send("so far")
      const [{ 200: answered = 0 }] = (await Promise.race([once(client, "message"), ended])) as [Record<string, number>]
      return { answered, usedMs: pids.reduce((sum, pid) => sum + cpuMs(pid), 0), at: performance.now() }
    }
    const before = await look()
    await pause(measuredMs)
    const after = await look()
    const usedMs = after.usedMs - before.usedMs
    // The client has a core of its own.
    const cores = Math.min(pids.length, Math.max(1, availableParallelism() - 1))
    return {
      us: (usedMs * 1000) / (after.answered - before.answered),
      isBusy: usedMs > 0.8 * cores * (after.at - before.at),
    }
  } finally {
    client.kill("SIGKILL")
  }
}
