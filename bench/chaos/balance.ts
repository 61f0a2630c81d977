/** Connections are spread over the processes, also after one was replaced; and two cost no more for a request than one. */
import { setTimeout as pause } from "node:timers/promises"
import { type Chaos, count, type Finding } from "./findings.ts"
import { type Failure, type Kill, unexcused, whyOf } from "./load.ts"
import { cpuMs, hasProc } from "./processes.ts"
import type { Project, Server } from "./site.ts"

/** More than this above its share is not balanced: what the supervisor tolerates, and one that is on its way. */
const mostOf32 = 32 * 1.125 + 2
/** How long connections may take to find their process. */
const settleMs = 4000

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
        isKept: spread.length === 2 && Math.max(...spread) <= mostOf32,
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

/** How many connections each process has when that is balanced, or was not in time. */
async function settled(server: Server): Promise<[number[], number]> {
  const began = performance.now()
  for (;;) {
    await pause(100)
    const spread = (await server.ready()).map(({ connections }) => connections)
    const ms = performance.now() - began
    const isSpread = spread.length === 2 && spread[0]! + spread[1]! >= 60 && Math.max(...spread) <= mostOf32
    if (isSpread || ms > settleMs) return [spread, ms]
  }
}

/** CPU of all processes for each request, with one and with two; in turns, the least of the rounds, since noise only adds. */
async function cpu(project: Project, isShort: boolean): Promise<Finding> {
  const promise = "with 2 processes a request costs at most 10 % more CPU than with 1"
  if (!hasProc) return { promise, notShown: "this system has no /proc" }
  if (isShort) return { promise, notShown: "it needs a minute; the form without --short shows it" }
  const [rounds, requests] = [4, 30_000]
  const least = new Map<string, number>()
  for (let round = 0; round < rounds; round++) {
    for (const workers of ["1", "2"]) {
      await using server = await project.start({ WORKERS_WEB: workers })
      const task = { asks: [{ path: "/api/chaos/who" }], clients: 64 }
      await server.load({ ...task, count: requests / 5 }).outcome
      const pids = await server.readyPids()
      const used = () => pids.reduce((sum, pid) => sum + cpuMs(pid), 0)
      const before = used()
      await server.load({ ...task, count: requests }).outcome
      const each = ((used() - before) * 1000) / requests
      least.set(workers, Math.min(least.get(workers) ?? Infinity, each))
    }
  }
  const [one, two] = [least.get("1")!, least.get("2")!]
  return {
    promise,
    figure: `${one.toFixed(1)} µs with 1, ${two.toFixed(1)} µs with 2: ${((two / one) * 100).toFixed(0)} %`,
    isKept: two <= one * 1.1,
  }
}
