/** Processes that have grown, or answered enough, are replaced without anybody noticing. */
import { setTimeout as pause } from "node:timers/promises"
import { type Chaos, count, type Finding } from "./findings.ts"
import { whyOf } from "./load.ts"
import type { Settings } from "./site.ts"

export async function* recycling({ project, isShort }: Chaos): AsyncGenerator<Finding> {
  const recycles = isShort ? 2 : 50
  const kinds: [string, string, Settings][] = [
    ["a route that leaks, under workers.soft_memory", "/api/chaos/leak", { WORKERS_SOFT_MEMORY: "250 MB" }],
    ["workers.max_requests", "/api/chaos/who", { WORKERS_MAX_REQUESTS: "300" }],
  ]
  for (const [what, path, settings] of kinds) {
    await using server = await project.start(settings)
    const wanted = (await server.ready()).length
    const load = server.load({ asks: [{ path }], clients: 8, pauseMs: 5 })
    let fewest = wanted
    let done = 0
    let deadline = performance.now() + 20_000
    while (done < recycles) {
      const { processes } = await server.status()
      const ready = processes.filter(({ name, state }) => name.startsWith("web") && state === "ready")
      fewest = Math.min(fewest, ready.length)
      const now = processes.reduce((sum, { restarts }) => sum + restarts, 0)
      if (now > done) deadline = performance.now() + 20_000
      done = now
      if (performance.now() > deadline) break
      await pause(10)
    }
    const { sent, failed, failures } = await load.stop()
    yield {
      promise: `${what}: ${count(recycles, "replacement")}, no failure, never fewer than ${wanted - 1} of ${wanted} ready`,
      figure:
        `${count(done, "replacement")}, ${count(failed, "failure")} of ${count(sent, "request")} (${whyOf(failures)}), ` +
        `at the fewest ${fewest} ready`,
      isKept: done >= recycles && failed === 0 && fewest >= wanted - 1,
    }
  }
}
