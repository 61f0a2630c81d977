/** Processes that are killed take with them what they were answering, and nothing else. */
import { setTimeout as pause } from "node:timers/promises"
import { type Chaos, count, type Finding, seconds } from "./findings.ts"
import { type Kill, unexcused, whyOf } from "./load.ts"
import { everyday } from "./reloads.ts"
import type { Server } from "./site.ts"

export async function* kills({ project, isShort }: Chaos): AsyncGenerator<Finding> {
  await using server = await project.start()
  yield await oneByOne(server, isShort ? 4500 : 60_000)
  await server.allReady()
  yield await allAtOnce(server)
}

async function oneByOne(server: Server, forMs: number): Promise<Finding> {
  const load = server.load({ ...everyday, asks: [...everyday.asks] })
  const kills: Kill[] = []
  const end = performance.now() + forMs
  while (performance.now() < end) {
    await pause(1500)
    const pids = await server.readyPids()
    const pid = pids[Math.floor(Math.random() * pids.length)]
    if (pid === undefined) continue
    kills.push({ pid, at: Date.now() })
    process.kill(pid, "SIGKILL")
  }
  await server.allReady()
  await pause(500)
  const { sent, failed, failures, longestMs } = await load.stop()
  const bad = unexcused(failures, kills)
  const refused = failures.filter(({ why }) => why === "ECONNREFUSED").length
  const hangs = failures.filter(({ why }) => why === "hang").length
  return {
    promise: `kill -9 of a random process every 1.5 s for ${forMs / 1000} s under load costs only what it was answering`,
    figure:
      `${count(kills.length, "kill")}, ${count(failed, "failure")} of ${count(sent, "request")}: ${refused} refused, ` +
      `${hangs} over 3 s, ${bad.length} that were not in flight on a killed connection (${whyOf(bad)}); ` +
      `the longest answer took ${seconds(longestMs)}`,
    isKept: bad.length === 0 && sent > 0,
  }
}

async function allAtOnce(server: Server): Promise<Finding> {
  const load = server.load({ ...everyday, asks: [...everyday.asks] })
  await pause(1000)
  const pids = await server.readyPids()
  const kills = pids.map((pid) => ({ pid, at: Date.now() }))
  for (const pid of pids) process.kill(pid, "SIGKILL")
  // Those that come while nobody is there.
  const newcomers = server.load({ asks: [{ path: "/api/chaos/who" }], clients: 40, count: 40, keepAlive: false })
  const came = await newcomers.outcome
  await server.allReady(pids)
  await pause(1000)
  const { sent, failed, failures } = await load.stop()
  const bad = unexcused(failures, kills)
  const refused = [...failures, ...came.failures].filter(({ why }) => why === "ECONNREFUSED").length
  return {
    promise: "with all processes killed at once connections wait, none is refused, and all later requests are answered",
    figure:
      `${refused} refused; of 40 new connections ${40 - came.failed} answered, the last after ${seconds(came.longestMs)}; ` +
      `of ${count(sent, "request")} ${failed} failed, ${bad.length} of them not in flight on a killed connection (${whyOf(bad)})`,
    isKept: refused === 0 && came.failed === 0 && bad.length === 0,
  }
}
