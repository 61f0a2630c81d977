/** Time caps: code that stands still, and code that waits for ever. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { type Chaos, count, type Finding, seconds } from "./findings.ts"
import { unexcused, whyOf } from "./load.ts"
import type { Server } from "./site.ts"

const blockTimeoutMs = 1000
/** Beyond its limit a process that stands still is replaced within this. */
const replacedWithinMs = 1500

export async function* caps({ project, isShort }: Chaos): AsyncGenerator<Finding> {
  await using server = await project.start({ WORKERS_BLOCK_TIMEOUT: `${blockTimeoutMs / 1000} second` })
  yield await blocked(server, "a busy loop", "/api/chaos/loop", "the line of the loop")
  yield await blocked(server, "a catastrophic regular expression", "/api/chaos/regex", "the line of the expression")
  yield* forEver(server, isShort ? 1 : 5)
}

async function blocked(server: Server, what: string, path: string, comment: string): Promise<Finding> {
  const wanted = lineWith(comment)
  const load = server.load({ asks: [{ path: "/api/chaos/who" }], clients: 16, pauseMs: 20 })
  await pause(1000)
  const before = server.output.length
  const began = performance.now()
  const asked = fetch(`${server.url}${path}`).catch(() => undefined)
  const [, pid = ""] = await server.says(/HARAKIRI: web \d+ \(pid (\d+)\) stood still/, 20_000, before)
  const [killed, killedMs] = [{ pid: Number(pid), at: Date.now() }, performance.now() - began]
  await server.allReady([killed.pid])
  const tookMs = performance.now() - began
  await asked
  await pause(500)
  const { sent, failures } = await load.stop()
  const named = /\((\S*routes\.ts):(\d+):\d+\)/.exec(server.output.slice(before))
  const bad = unexcused(failures, [killed])
  return {
    promise: `${what} is ended within block_timeout + 1.5 s, its line is named, and nobody else notices`,
    figure:
      `killed after ${seconds(killedMs)} and replaced after ${seconds(tookMs)} (limit ${seconds(blockTimeoutMs + replacedWithinMs)}); the log names ` +
      `${named ? `${named[1]}:${named[2]}` : "no line"} (it is ${wanted}); ${bad.length} failures of ` +
      `${count(sent, "request")} on connections of others (${whyOf(bad)})`,
    isKept: tookMs <= blockTimeoutMs + replacedWithinMs && Number(named?.[2]) === wanted && bad.length === 0,
  }
}

/** A comment of the routes, as the log would name its line. */
function lineWith(comment: string): number {
  const lines = readFileSync(join(import.meta.dirname, "routes.ts"), "utf8").split("\n")
  return lines.findIndex((line) => line.includes(comment)) + 1
}

async function* forEver(server: Server, requests: number): AsyncGenerator<Finding> {
  const capMs = 1000
  const database = await server.database()
  const queries = async () => {
    const { rows } = await database.query(
      "select count(*)::int as n from pg_stat_activity where query like '%pg_sleep(3600)%' and state <> 'idle' and pid <> pg_backend_pid()",
    )
    return rows[0].n as number
  }
  try {
    const began = performance.now()
    const asked = Array.from({ length: requests }, () =>
      fetch(`${server.url}/api/chaos/never`).then(async ({ status, body }) => {
        await body?.cancel()
        return { status, ms: performance.now() - began }
      }),
    )
    let during = 0
    while (during < requests && performance.now() - began < capMs) during = Math.max(during, await queries())
    const answers = await Promise.all(asked)
    await pause(1000)
    const after = await queries()
    const aborted = server.output.match(/The signal has aborted/g)?.length ?? 0
    const longest = Math.max(...answers.map(({ ms }) => ms))
    yield {
      promise:
        "a handler that waits for ever gets 503 at its cap, its signal aborts, and its query is gone a second later",
      figure:
        `${answers.filter(({ status }) => status === 503).length} of ${requests} answered 503 after ${seconds(longest)} (cap ` +
        `${seconds(capMs)}); ${aborted} signals aborted; queries in pg_stat_activity: ${during} before, ${after} after`,
      isKept:
        answers.every(({ status }) => status === 503) &&
        longest <= capMs + 750 &&
        aborted === requests &&
        during === requests &&
        after === 0,
    }
  } finally {
    await database.end()
  }
}
