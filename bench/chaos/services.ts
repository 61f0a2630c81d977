/** PostgreSQL and Redis that hang, die or begin anew: a quick 503 meanwhile, no process replaced, nothing lost that was promised. */
import { join } from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { type Chaos, type Finding, seconds } from "./findings.ts"
import { descendantsOf, hasProc } from "./processes.ts"
import { hasRedis, type Redis, startRedis } from "./redis.ts"
import type { Project, Server } from "./site.ts"

const refusedWithinMs = 2000
const recoveredWithinMs = 5000
/** After so many answers in a row, a second's worth, it has recovered. */
const calm = 20

/** What happens to a service, and when it could work again; what it holds is undone in the end. */
interface Trouble {
  what: string
  run(): Promise<void>
}

export async function* services({ project, isShort }: Chaos): AsyncGenerator<Finding> {
  const stoppedMs = isShort ? 2000 : 30_000
  await using redis = hasRedis ? await startRedis(join(project.folder, "redis")) : undefined
  await using server = await project.start({
    WORKERS_BLOCK_TIMEOUT: "1 second",
    ...(redis && { REDIS_URL: redis.url }),
  })
  if (hasProc) {
    for (const trouble of troublesOfPostgres(project, stoppedMs)) yield await endure(server, "/api/chaos/rows", trouble)
    const database = await server.database()
    const { rows } = await database.query("select n from numbers")
    await database.end()
    yield kept("PostgreSQL", "/api/chaos/rows", new Set(rows.map(({ n }) => n as number)))
  } else yield { promise: "PostgreSQL may stop, die and begin anew", notShown: "this system has no /proc" }

  if (redis) {
    for (const trouble of troublesOfRedis(redis, stoppedMs)) yield await endure(server, "/api/chaos/items", trouble)
    const found = (await (await fetch(`${server.url}/api/chaos/items`)).json()) as number[]
    yield kept("Redis", "/api/chaos/items", new Set(found))
  } else
    yield {
      promise: "Redis may stop, die and begin anew",
      notShown: "there is no redis-server or valkey-server in the PATH",
    }
}

function troublesOfPostgres(project: Project, stoppedMs: number): Trouble[] {
  const postmaster = async () => (await project.postmaster())!
  return [
    {
      what: `PostgreSQL is stopped for ${stoppedMs / 1000} s (SIGSTOP)`,
      async run() {
        const pid = await postmaster()
        const stopped = [pid, ...descendantsOf(pid)]
        for (const one of stopped) process.kill(one, "SIGSTOP")
        await pause(stoppedMs)
        for (const one of stopped) process.kill(one, "SIGCONT")
      },
    },
    { what: "PostgreSQL is killed (SIGKILL)", run: async () => void process.kill(await postmaster(), "SIGKILL") },
    { what: "PostgreSQL is restarted (SIGINT)", run: async () => void process.kill(await postmaster(), "SIGINT") },
  ]
}

function troublesOfRedis(redis: Redis, stoppedMs: number): Trouble[] {
  const again = (signal: NodeJS.Signals) => async () => {
    redis.kill(signal)
    await redis.ended()
    await pause(1000)
    await redis.start()
  }
  return [
    {
      what: `Redis is stopped for ${stoppedMs / 1000} s (SIGSTOP)`,
      async run() {
        redis.kill("SIGSTOP")
        await pause(stoppedMs)
        redis.kill("SIGCONT")
      },
    },
    { what: "Redis is killed (SIGKILL)", run: again("SIGKILL") },
    { what: "Redis is restarted (SIGTERM)", run: again("SIGTERM") },
  ]
}

/** What the server said that it has, by the path that it was sent to. */
const acknowledged = new Map<string, Set<number>>()
let number = 0

interface Answer {
  status: number | string
  ms: number
  began: number
}

/** Sends numbers all the time, twenty a second, while something happens. */
async function endure(server: Server, path: string, { what, run }: Trouble): Promise<Finding> {
  const former = await server.readyPids()
  const promises = acknowledged.get(path) ?? new Set()
  acknowledged.set(path, promises)
  const answers: Answer[] = []
  const waiting = new Set<Promise<void>>()
  const send = async () => {
    const n = ++number
    const began = performance.now()
    const status = await fetch(`${server.url}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ n }),
      signal: AbortSignal.timeout(20_000),
    }).then(
      async (response) => {
        await response.text()
        return response.status
      },
      (error: Error) => (error.cause as NodeJS.ErrnoException)?.code ?? error.name,
    )
    if (status === 200) promises.add(n)
    answers.push({ status, ms: performance.now() - began, began })
  }
  const timer = setInterval(() => {
    const one = send().finally(() => waiting.delete(one))
    waiting.add(one)
  }, 50)
  await pause(500)
  await run()
  const over = performance.now()
  const isRecovered = () => answers.slice(-calm).every(({ status, began }) => status === 200 && began > over)
  while (performance.now() - over < recoveredWithinMs + 1000 && !isRecovered()) await pause(50)
  clearInterval(timer)
  await Promise.all(waiting)
  const bad = answers.filter(({ status }) => status !== 200)
  const recoveredMs = Math.max(0, ...bad.map(({ began, ms }) => began + ms - over))
  const other = bad.filter(({ status }) => status !== 503)
  const slowest = Math.max(0, ...answers.map(({ ms }) => ms))
  const now = await server.readyPids()
  const isSame = former.every((pid) => now.includes(pid))
  return {
    promise: `${what}: 503 within 2 s each, recovery within 5 s, no process replaced`,
    figure:
      `${answers.length} requests: ${answers.length - bad.length} answered, ${bad.length - other.length} got 503, ` +
      `${other.length} something else${other.length > 0 ? ` (${[...new Set(other.map(({ status }) => status))].join(", ")})` : ""}; ` +
      `the slowest took ${seconds(slowest)}; recovered after ${seconds(recoveredMs)}; ` +
      `${isSame ? "the same processes" : "other processes"}`,
    isKept: other.length === 0 && slowest <= refusedWithinMs && recoveredMs <= recoveredWithinMs && isSame,
  }
}

function kept(name: string, path: string, found: Set<number>): Finding {
  const promised = acknowledged.get(path) ?? new Set()
  const lost = [...promised].filter((n) => !found.has(n)).length
  return {
    promise: `${name} has all that was acknowledged`,
    figure: `acknowledged − found = ${lost}; ${promised.size} acknowledged, ${found.size} found`,
    isKept: lost === 0 && promised.size > 0,
  }
}
