/** Jobs in processes that are killed, stand still, never end or are asked to: nothing is lost, and what is innocent goes on. */
import assert from "node:assert/strict"
import { type TestContext, test } from "node:test"
import { type Job, job, sql, Type } from "trestle"
import { Log } from "../src/core/log.ts"
import { openDatabase } from "../src/db/database.ts"
import { ledgersOf } from "../src/db/migrations.ts"
import { createTestDatabase } from "../src/db/test-database.ts"
import type { JobState } from "../src/jobs/job.ts"
import { openJobs } from "../src/jobs/jobs.ts"
import { makeProject, urlOf } from "./project.ts"

/** Each attempt is written down as it begins. */
const application = `import { defineApp, job, sql, Type } from "trestle"

const none = Type.Object({})
const begins = ({ db, id, attempt }) => sql\`insert into runs values (\${id}, \${process.pid}, \${attempt})\`.execute(db)
/** Until the test lets all go. */
const untilLet = async ({ db, signal }) => {
  while (!signal.aborted) if ((await sql\`select from let_go\`.execute(db)).rows.length > 0) return
}
const wait = job("wait", { data: none, concurrency: 20 }, async (run) => {
  await begins(run)
  await untilLet(run)
})
const kill = job("kill", { data: none, retries: 2 }, async (run) => {
  await begins(run)
  process.kill(process.pid, "SIGKILL")
})
const block = job("block", { data: none, retries: 0 }, async () => {
  for (;;);
})
const never = job("never", { data: none, retries: 0, timeout: "300 ms", concurrency: 1 }, async () => {
  setInterval(() => {}, 1000)
  await new Promise(() => {})
})
const sleep = job("sleep", { data: none }, async ({ db }) => void (await sql\`select pg_sleep(60)\`.execute(db)))
const note = job("note", { data: none }, begins)
export default defineApp({ name: "works", routes: {}, jobs: [wait, kill, block, never, sleep, note], folder: import.meta.dirname })
`

const data = Type.Object({})
const named = (name: string): Job => job(name, { data }, () => {})
const [wait, kill, block, never, sleep, note] = ["wait", "kill", "block", "never", "sleep", "note"].map(named) as [
  Job,
  Job,
  Job,
  Job,
  Job,
  Job,
]

async function startServers(t: TestContext, env: Record<string, string>) {
  const { address, drop } = await createTestDatabase(await ledgersOf("/nonexistent"))
  t.after(drop)
  const log = new Log("error", "test")
  const settings = { connectTimeoutMs: 5000, statementTimeoutMs: 30_000, idleInTransactionTimeoutMs: 30_000 }
  const database = openDatabase(address, { ...settings, poolSize: 4, preparedStatements: true, logSql: false }, log)
  const { db } = database
  const jobs = openJobs(database, [wait, kill, block, never, sleep, note], log)
  t.after(async () => {
    await jobs.close()
    await database.close()
  })
  await sql`create table runs (id uuid, pid integer, attempt integer)`.execute(db)
  await sql`create table let_go (n integer)`.execute(db)
  const start = async (command: "start" | "worker", more: Record<string, string> = {}) => {
    const project = await makeProject(t, { "app/app.ts": application })
    const server = project.start([command], { DATABASE_URL: urlOf(address), ...env, ...more })
    await server.says(command === "start" ? /is at (http\S+)\n/ : /runs its background jobs here/)
    return { project, server }
  }
  const until = async (id: string, isSo: (state: JobState) => boolean): Promise<JobState> => {
    for (;;) {
      const state = await jobs.find(id)
      if (state && isSo(state)) return state
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  const runsOf = async (id: string) =>
    (await sql<{ pid: number; attempt: number }>`select pid, attempt from runs where id = ${id}`.execute(db)).rows
  return { db, jobs, start, until, runsOf }
}

const isDone = ({ phase }: JobState) => phase === "done"
const isDead = ({ phase }: JobState) => phase === "dead"
const isRunning = ({ phase }: JobState) => phase === "running"

test("whatever a job does to its process, it takes no other with it", async (t) => {
  const { db, jobs, start, until, runsOf } = await startServers(t, {
    WORKERS_JOBS: "2",
    WORKERS_BLOCK_TIMEOUT: "1 second",
    DATABASE_POOL_SIZE: "1",
  })
  const { server } = await start("start")
  // As if all had run for long.
  await sql`update trestle.job_watch set since = now() - interval '1 h'`.execute(db)
  /** As if the time had passed after which the jobs of a process count as lost. */
  const passTime = (pid?: string) =>
    sql`update trestle_jobs.job set heartbeat_on = now() - interval '1 min' where state = 'active' and
      (${pid ?? null}::int is null or id in (select id from runs where pid = ${pid ?? null}::int
        and attempt = (select max(attempt) from runs same where same.id = runs.id)))`.execute(db)

  await t.test("one that holds the only connection of the handlers is still heard of", async () => {
    const id = await jobs.send(sleep, {})
    await until(id, isRunning)
    for (let before = "", times = 0; times < 2; times++) {
      for (;;) {
        const { rows } = await sql<{
          at: string
        }>`select heartbeat_on::text as at from trestle_jobs.job where id = ${id}`.execute(db)
        if (rows[0]!.at > before) {
          before = rows[0]!.at
          break
        }
      }
    }
    assert.equal(await jobs.cancel(id), true)
    await server.says(/job sleep: .*Called off after \d+ ms: It was cancelled/)
    assert.equal((await jobs.find(id))?.phase, "cancelled")
  })

  await t.test("one that never ends is given up at its limit, and its process replaced", async () => {
    const id = await jobs.send(never, {})
    assert.equal((await until(id, isDead)).error, "It took longer than 300 ms.")
    // Its place is free at once.
    await until(await jobs.send(never, {}), isDead)
    await server.says(/HARAKIRI: job never \([\w-]+\) goes on although it was told to stop/)
    await server.says(/job \d \(pid \d+\) is replaced: its job never did not stop/)
  })

  await t.test("one that stands still is named, and ends as a dead letter", async () => {
    const id = await jobs.send(block, {})
    await server.says(/stood still[\s\S]*? job block since \d+ ms/)
    await passTime()
    assert.match((await until(id, isDead)).error!, /The process that ran it ended/)
  })

  await t.test("one that kills its process does so alone, and then is a dead letter; all others are done", async () => {
    const innocent = await Promise.all(Array.from({ length: 30 }, () => jobs.send(wait, {})))
    for (const id of innocent) await until(id, isRunning)
    const killer = await jobs.send(kill, {})
    const [, crowd] = await server.says(/job \d \(pid (\d+)\) ended: SIGKILL/)
    await sql`insert into let_go values (1)`.execute(db)
    await passTime(crowd)
    for (let attempt = 2; attempt <= 3; attempt++) {
      const [, alone] = await server.says(/job alone \(pid (\d+)\) ended: SIGKILL/)
      await passTime(alone)
    }
    assert.equal((await until(killer, isDead)).attempts, 3)
    for (const id of innocent) {
      await until(id, isDone)
      assert.ok((await runsOf(id)).length <= 2)
    }
    const pids = (await runsOf(killer)).map(({ pid }) => pid)
    const { rows } = await sql<{
      id: string
    }>`select id from runs where pid = any(${pids.slice(1)}) and id <> ${killer}`.execute(db)
    // Those that ran in the same process alone ran before it.
    const done = await Promise.all(rows.map(({ id }) => jobs.find(id)))
    assert.ok(done.every((state) => state?.phase === "done"))
  })
})

test("jobs outlive a stop and a reload, and go on elsewhere", async (t) => {
  const { db, jobs, start, until, runsOf } = await startServers(t, { WORKERS_JOBS: "1" })
  const { server } = await start("start", { WORKERS_STOP_TIMEOUT: "1 second" })
  const id = await jobs.send(wait, {})
  await until(id, isRunning)

  const { project, server: other } = await start("worker")
  server.kill("SIGTERM")
  await server.ended
  await until(id, isRunning)
  while ((await runsOf(id)).length < 2) await new Promise(setImmediate)
  // The one that was cut short does not count.
  assert.deepEqual(
    (await runsOf(id)).map(({ attempt }) => attempt),
    [1, 1],
  )

  const reload = project.run(["reload"])
  await other.says(/Reloaded: 1 processes of generation 2/)
  assert.equal((await reload).code, 0)
  // The new process works beside the old one, which waits for its job.
  await until(await jobs.send(note, {}), isDone)
  await sql`insert into let_go values (1)`.execute(db)
  await until(id, isDone)
  assert.equal((await runsOf(id)).length, 2)
  other.kill("SIGTERM")
  assert.equal((await other.ended).code, 0)
})
