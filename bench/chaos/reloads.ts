/** A reload loses no request: 24 clients that keep their connections, a third of them idle now and then, and never ask twice. */
import { type Chaos, count, type Finding, seconds } from "./findings.ts"
import { whyOf } from "./load.ts"
import type { Settings } from "./site.ts"

/** What is asked of a server while something happens to it. */
export const everyday = {
  asks: [{ path: "/api/chaos/who" }, { method: "POST", path: "/api/chaos/who", isNumbered: true }] as const,
  clients: 24,
  idleShare: 1 / 3,
  // Clients that never rest would leave the machine no time for the processes that begin.
  pauseMs: 5,
}

export async function* reloads({ project, isShort }: Chaos): AsyncGenerator<Finding> {
  const kinds: [string, Settings, number][] = [
    ["HTTP", {}, isShort ? 1 : 20],
    ["TLS", { TLS_MODE: "self-signed" }, isShort ? 1 : 20],
  ]
  const leastRequests = isShort ? 2000 : 50_000
  for (const [kind, settings, rounds] of kinds) {
    await using server = await project.start(settings)
    const load = server.load({ ...everyday, asks: [...everyday.asks] })
    const began = performance.now()
    let refused = 0
    for (let round = 0; round < rounds; round++) {
      const { code } = await project.run(["reload"])
      if (code !== 0) refused++
    }
    const tookMs = (performance.now() - began) / rounds
    // Processes that were replaced go on until their last connection was idle for its time.
    await new Promise((resolve) => setTimeout(resolve, isShort ? 1000 : 7000))
    const { sent, failed, failures, longestMs } = await load.stop(leastRequests)
    yield {
      promise: `${count(rounds, "reload")} under load lose no request (${kind}, 24 keep-alive clients, no retries)`,
      figure:
        `${count(failed, "failure")} of ${count(sent, "request")} (${whyOf(failures)}); ${count(refused, "reload")} failed; ` +
        `the longest answer took ${seconds(longestMs)}, a reload ${seconds(tookMs)}`,
      isKept: failed === 0 && refused === 0 && sent >= leastRequests,
    }
  }
}
