/**
 * What background jobs cost that do nothing: beside BullMQ on Redis, and graphile-worker on the same PostgreSQL. Neither server
 * waits for a disk. Whoever runs jobs has one core, whoever sends them the other. Needs redis-server.
 */
import { type ChildProcess, fork, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { ledgersOf } from "../kit/src/db/migrations.ts"
import { createTestDatabase } from "../kit/src/db/test-database.ts"
import { ask, pin } from "./measure.ts"
import { installPeers } from "./requests.ts"
import type { JobOutcome, JobTask } from "./servers/job-subject.ts"

const waiting = 10_000
const sent = 500
/** Of these the first find a worker that has only begun: it may not listen yet. */
const unready = 100
const rounds = 3

interface Queue {
  name: string
  runner: ChildProcess
  sender: ChildProcess
}

interface Figures {
  perSecond: number
  cpu: number
  p50: number
  p99: number
}

export async function jobs(): Promise<void> {
  if (spawnSync("redis-server", ["--version"]).error) {
    console.log("There is no redis-server here, which BullMQ needs.")
    return
  }
  installPeers()
  const folder = mkdtempSync(join(tmpdir(), "trestle-bench-"))
  const socket = join(folder, "redis.sock")
  const options = ["--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no"]
  const redis = spawn("redis-server", options, { stdio: ["ignore", "pipe", "inherit"] })
  await once(redis.stdout, "data")
  const database = await createTestDatabase(await ledgersOf("/nonexistent"))
  const address = JSON.stringify(database.address)
  const env = { BENCH_DATABASE: address, BENCH_PG: address, BENCH_REDIS: socket }
  const queues: Queue[] = []
  try {
    queues.push(
      await start("trestle", "./servers/jobs.ts", env),
      await start("bullmq", "./peers/jobs-bullmq.js", env),
      await start("graphile", "./peers/jobs-graphile.js", env),
      await start("graphile, tuned", "./peers/jobs-graphile.js", { ...env, BENCH_TUNED: "1" }),
    )
    for (const concurrency of [10, 100]) {
      const best = new Map<string, Figures>()
      // In turns, so that a slow spell of the machine hits all of them; noise only adds. The first round warms up.
      for (let round = 0; round <= rounds; round++) {
        for (const queue of queues) {
          const figures = await measure(queue, concurrency)
          const before = best.get(queue.name)
          if (round > 0) best.set(queue.name, before ? better(before, figures) : figures)
        }
      }
      print(concurrency, best)
    }
  } finally {
    for (const { runner, sender } of queues) for (const child of [runner, sender]) child.kill()
    redis.kill()
    await database.drop()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function start(name: string, file: string, env: Record<string, string>): Promise<Queue> {
  const begin = async (core: number) => {
    // What it logs goes to a pipe that somebody reads, as under systemd and Docker.
    const stdio = ["ignore", "pipe", "inherit", "ipc"] as const
    const child = fork(new URL(file, import.meta.url), { env: { ...process.env, ...env }, stdio: [...stdio] })
    child.stdout!.resume()
    await ask(child)
    pin(child, core)
    return child
  }
  return { name, runner: await begin(0), sender: await begin(1) }
}

async function measure({ runner, sender }: Queue, concurrency: number): Promise<Figures> {
  await ask(sender, { do: "fill", count: waiting } satisfies JobTask)
  const { ms, cpu } = await work(runner, concurrency, waiting)
  const outcome = await work(runner, concurrency, sent, async () => {
    await ask(sender, { do: "send", count: sent, pauseMs: 2 } satisfies JobTask)
  })
  const pickups = outcome.pickups.slice(unready).sort((a, b) => a - b)
  const quantile = (part: number) => pickups[Math.floor(part * pickups.length)]!
  return { perSecond: (waiting / ms) * 1000, cpu, p50: quantile(0.5), p99: quantile(0.99) }
}

/** Runs so many jobs; `meanwhile` begins when it waits for them. */
async function work(runner: ChildProcess, concurrency: number, count: number, meanwhile = async () => {}) {
  await ask(runner, { do: "work", concurrency, count } satisfies JobTask)
  const [outcome] = await Promise.all([ask<JobOutcome>(runner), meanwhile()])
  return outcome
}

const better = (a: Figures, b: Figures): Figures => ({
  perSecond: Math.max(a.perSecond, b.perSecond),
  cpu: Math.min(a.cpu, b.cpu),
  p50: Math.min(a.p50, b.p50),
  p99: Math.min(a.p99, b.p99),
})

function print(concurrency: number, all: Map<string, Figures>): void {
  const own = all.get("trestle")!
  const heads = ["jobs/s", "ratio", "CPU µs/job", "ratio", "pickup p50 ms", "p99 ms"]
  console.log([`${concurrency} at once`.padEnd(20), ...heads.map((head) => head.padStart(14))].join(""))
  for (const [name, { perSecond, cpu, p50, p99 }] of all) {
    const ratios = [perSecond / own.perSecond, cpu / own.cpu].map((ratio) => ratio.toFixed(2))
    const cells = [perSecond.toFixed(0), ratios[0]!, cpu.toFixed(1), ratios[1]!, p50.toFixed(2), p99.toFixed(2)]
    console.log([name.padEnd(20), ...cells.map((cell) => cell.padStart(14))].join(""))
  }
}
