/** Background jobs whose processes are killed, which kill theirs, never end, or are rolled back: none lost, none held up. */
import { setTimeout as pause } from "node:timers/promises"
import type pg from "pg"
import { type Chaos, count, type Finding, seconds } from "./findings.ts"
import { descendantsOf, hasProc, isAlive } from "./processes.ts"
import { makeProject, type Project, type Server } from "./site.ts"

const killEveryMs = 2000
const againWithinMs = 15_000
const stoppedMs = 12_000
/** An innocent job takes 0.2 s, a hundred run at once. */
const lateMs = 5000

export async function* jobs({ project, isShort }: Chaos): AsyncGenerator<Finding> {
  const settings = { WORKERS_WEB: "1", WORKERS_JOBS: "2", WORKERS_BLOCK_TIMEOUT: "5 seconds" }
  {
    await using server = await project.start(settings)
    const database = await server.database()
    try {
      yield await transactions(server, database)
      yield* killed(server, database, isShort ? 2000 : 10_000)
      yield await killer(server, database)
      yield await endless(server, database)
      yield await outages(project, server, database)
    } finally {
      await database.end().catch(() => {})
    }
  }
  yield await ticks({ project, isShort })
}

interface Sent {
  name: string
  from: number
  count: number
  /** One transaction for each, which is rolled back, instead of one for all. */
  isRolledBack?: boolean
  isApart?: boolean
}

async function send({ url }: Server, sent: Sent): Promise<void> {
  const response = await fetch(`${url}/api/chaos/jobs`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(sent),
  })
  if (!response.ok) throw new Error(`Jobs could not be sent: ${response.status} ${await response.text()}`)
}

/** One number of the database. */
async function ask(database: pg.Client, sql: string, ...values: unknown[]): Promise<number> {
  const { rows } = await database.query(sql, values)
  return Number(Object.values(rows[0])[0])
}

const unfinished = (database: pg.Client, name: string) =>
  ask(database, "select count(*) from trestle_jobs.job where name = $1 and state < 'completed'", name)

async function allFinished(database: pg.Client, name: string, withinMs: number): Promise<number> {
  const began = performance.now()
  while ((await unfinished(database, name)) > 0 && performance.now() - began < withinMs) await pause(100)
  return performance.now() - began
}

const dead = (database: pg.Client, name: string) =>
  ask(database, "select count(*) from trestle_jobs.job where name = 'trestle.dead' and source_name = $1", name)

async function transactions(server: Server, database: pg.Client): Promise<Finding> {
  await send(server, { name: "quick", from: 0, count: 1000, isApart: true, isRolledBack: true })
  await send(server, { name: "quick", from: 1000, count: 1000, isApart: true })
  await allFinished(database, "quick", 60_000)
  const rolledBack = await ask(database, "select count(*) from runs where name = 'quick' and n < 1000")
  const committed = await ask(database, "select count(*) from runs where name = 'quick' and n >= 1000")
  const kept = await ask(database, "select count(*) from trestle_jobs.job where name = 'quick'")
  return {
    promise: "jobs are committed with their transactions: of 1,000 that were rolled back none, of 1,000 others all",
    figure: `${rolledBack} and ${committed} have run, ${kept} are known`,
    isKept: rolledBack === 0 && committed === 1000 && kept === 1000,
  }
}

/** To a process that may have ended. */
function signal(pid: number, name: NodeJS.Signals): void {
  if (isAlive(pid)) process.kill(pid, name)
}

async function* killed(server: Server, database: pg.Client, jobs: number): AsyncGenerator<Finding> {
  await send(server, { name: "work", from: 0, count: jobs })
  let kills = 0
  const cutShort = new Set<string>()
  const began = performance.now()
  while ((await ask(database, "select count(*) from trestle_jobs.job where name = 'work' and state = 'created'")) > 0) {
    await pause(killEveryMs)
    const processes = await server.readyJobs()
    const { pid } = processes[kills % processes.length] ?? {}
    if (!pid) continue
    // Nothing ends between the count and the kill.
    for (const one of processes) signal(one.pid!, "SIGSTOP")
    const { rows } = await database.query(
      "select id || ':' || retry_count as attempt from trestle_jobs.job where name = 'work' and state = 'active'",
    )
    signal(pid, "SIGKILL")
    for (const one of processes) signal(one.pid!, "SIGCONT")
    for (const { attempt } of rows) cutShort.add(attempt)
    kills++
    if (performance.now() - began > 300_000) break
  }
  await allFinished(database, "work", 120_000)
  const done = await ask(database, "select count(distinct n) from runs where name = 'work'")
  const runs = await ask(database, "select count(*) from runs where name = 'begun'")
  const letters = await dead(database, "work")
  yield {
    promise: `${count(jobs, "job")}, a job worker killed every ${killEveryMs / 1000} s: all done, no dead letter`,
    figure: `${count(done, "job")} done, ${jobs - done} lost, ${count(letters, "dead letter")}, ${count(kills, "kill")}`,
    isKept: done === jobs && letters === 0 && kills > 2,
  }
  yield {
    promise: "none runs once more unless it ran when its process was killed",
    figure: `${runs - jobs} runs beyond once; ${cutShort.size} ran at a kill`,
    isKept: runs - jobs <= cutShort.size,
  }
  const { rows } = await database.query(`
    select coalesce(max(gap), 0) as longest, count(*) from (
      select extract(epoch from at - lag(at) over (partition by n order by at)) * 1000 as gap
      from runs where name = 'begun'
    ) gaps where gap is not null`)
  const longest = Number(rows[0].longest)
  yield {
    promise: `what ran when its process was killed runs again within ${againWithinMs / 1000} s`,
    figure: `${rows[0].count} ran again, the last ${seconds(longest)} after it had begun before`,
    isKept: longest <= againWithinMs && Number(rows[0].count) > 0,
  }
}

async function killer(server: Server, database: pg.Client): Promise<Finding> {
  await send(server, { name: "innocent", from: 0, count: 100 })
  await send(server, { name: "kill", from: 0, count: 1 })
  const ms = await allFinished(database, "innocent", 120_000)
  await allFinished(database, "kill", 120_000)
  const done = await ask(database, "select count(distinct n) from runs where name = 'innocent'")
  const letters = (await dead(database, "innocent")) + (await dead(database, "kill"))
  return {
    promise: "one job that kills its process, and 100 beside it: it is the only dead letter, all others are done",
    figure: `${count(letters, "dead letter")}, ${done} done after ${seconds(ms)}`,
    isKept: letters === 1 && (await dead(database, "kill")) === 1 && done === 100,
  }
}

async function endless(server: Server, database: pg.Client): Promise<Finding> {
  await send(server, { name: "endless", from: 0, count: 1 })
  await send(server, { name: "innocent", from: 1000, count: 100 })
  const ms = await allFinished(database, "innocent", 60_000)
  await allFinished(database, "endless", 60_000)
  const done = await ask(database, "select count(distinct n) from runs where name = 'innocent' and n >= 1000")
  const letters = await dead(database, "endless")
  const { rows } = await database.query(
    "select extract(epoch from completed_on - started_on) * 1000 as ms from trestle_jobs.job where name = 'endless'",
  )
  return {
    promise: "one job that never ends is given up at its limit of 1 s, and holds up no other",
    figure: `given up after ${seconds(Number(rows[0].ms))}; the ${done} others were done within ${seconds(ms)}`,
    isKept: letters === 1 && done === 100 && ms < lateMs && Number(rows[0].ms) < lateMs,
  }
}

/** The database stands still for longer than what is said of a job that runs may be old, and then is killed. */
async function outages(project: Project, server: Server, database: pg.Client): Promise<Finding> {
  const promise = `PostgreSQL is stopped for ${stoppedMs / 1000} s, then killed: all jobs done, none taken for lost`
  if (!hasProc) return { promise, notShown: "this system has no /proc" }
  const from = server.output.length
  await send(server, { name: "work", from: 100_000, count: 2000 })
  await pause(1000)
  const postmaster = (await project.postmaster())!
  const stopped = [postmaster, ...descendantsOf(postmaster)]
  for (const pid of stopped) process.kill(pid, "SIGSTOP")
  await pause(stoppedMs)
  for (const pid of stopped) process.kill(pid, "SIGCONT")
  await pause(1500)
  process.kill(postmaster, "SIGKILL")
  await database.end().catch(() => {})
  const again = await reconnected(server)
  try {
    await allFinished(again, "work", 120_000)
    const done = await ask(again, "select count(distinct n) from runs where name = 'work' and n >= 100000")
    const letters = await dead(again, "work")
    const lost = server.output.slice(from).match(/\d+ jobs ran in a process that is gone/g) ?? []
    return {
      promise,
      figure: `${done} done, ${count(letters, "dead letter")}, ${count(lost.length, "rescue")}`,
      isKept: done === 2000 && letters === 0 && lost.length === 0,
    }
  } finally {
    await again.end()
  }
}

async function reconnected(server: Server): Promise<pg.Client> {
  for (;;) {
    const client = await server.database().catch(() => undefined)
    if (client) return client
    await pause(250)
  }
}

/** Two servers on one database, of which one is killed. */
async function ticks({ project, isShort }: Chaos): Promise<Finding> {
  const minutes = isShort ? 2 : 5
  await using first = await project.start({ WORKERS_WEB: "1", WORKERS_JOBS: "1" })
  const database = await first.database()
  try {
    await using elsewhere = await makeProject()
    await using other = await elsewhere.start({ DATABASE_URL: await first.databaseUrl(), WORKERS_WEB: "1" })
    const from = await ask(database, "select extract(epoch from date_trunc('minute', now()))::int")
    // In the middle of the time, and of a minute.
    await untilSecond(database, from + Math.ceil(minutes / 2) * 60 - 30)
    process.kill(-other.pid, "SIGKILL")
    await untilSecond(database, from + minutes * 60 + 15)
    const { rows } = await database.query(
      `select date_trunc('minute', created_on) as minute, count(*)::int from trestle_jobs.job
       where name = 'tick' and created_on >= to_timestamp($1) + interval '1 minute' group by 1`,
      [from],
    )
    const counts = rows.map(({ count }) => count as number)
    return {
      promise: `a cron of each minute on two servers, one killed, over ${minutes} minutes: each tick once`,
      figure: `${count(counts.length, "minute")} with a tick, ${counts.filter((n) => n > 1).length} with more than one`,
      isKept: counts.length === minutes && counts.every((n) => n === 1),
    }
  } finally {
    await database.end()
  }
}

async function untilSecond(database: pg.Client, second: number): Promise<void> {
  while ((await ask(database, "select extract(epoch from now())::int")) < second) await pause(250)
}
