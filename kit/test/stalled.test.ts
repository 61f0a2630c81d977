/**
 * A database or a Redis that is stopped, killed or started again: what needs it is answered 503 meanwhile, nothing that was
 * acknowledged is lost, and the same process goes on when it is back. Each test lets the server go on only after it has its
 * answers, with all other time limits far away: they cannot have come from anything but the notice that nobody is there.
 */
import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { type TestContext, test } from "node:test"
import { type Api, Id, sql, Type } from "trestle"
import { Log } from "../src/core/log.ts"
import { ledgersOf, migrateUp } from "../src/db/migrations.ts"
import { openRedis } from "../src/db/redis.ts"
import { createTestDatabase } from "../src/db/test-database.ts"
import { Browser, person } from "./browser.ts"
import { later, open, postmasterOf, seeded, until } from "./embedded/scratch.ts"
import { lost, openEyes, recovered, slowest, timed, writeRows } from "./outages.ts"
import { noRedis, startRedis } from "./redis.ts"
import { sampleApp } from "./sample/app.ts"
import { serveOn } from "./serve-on.ts"
import { openWire } from "./wire.ts"

const done = { role: "visitor", schema: { response: { 200: Type.Object({}) } } } as const
const patient = { WORKERS_REQUEST_TIMEOUT: "10 min", DATABASE_CONNECT_TIMEOUT: "10 min" }
let holding: PromiseWithResolvers<void> | undefined

const app = sampleApp((api: Api) => {
  const { db, kv } = api
  api.get("/one", done, async () => {
    await sql`select 1`.execute(db)
    return {}
  })
  api.get("/slow", done, async () => {
    await sql`select pg_sleep(2.5)`.execute(db)
    return {}
  })
  /** Holds a connection in a transaction and asks nothing, until the test lets it. */
  api.get("/hold", done, async () => {
    await db.transaction().execute(async (tx) => {
      await sql`select 1`.execute(tx)
      holding = Promise.withResolvers()
      await holding.promise
      await sql`select 1`.execute(tx)
    })
    return {}
  })
  /** Writes two rows, or none. */
  api.post(
    "/rows/:id",
    { ...done, schema: { ...done.schema, params: Type.Object({ id: Id }) } },
    async ({ params: { id } }) => {
      await db.transaction().execute(async (tx) => {
        await sql`insert into rows values (${id})`.execute(tx)
        await sql`insert into rows values (${id})`.execute(tx)
      })
      return {}
    },
  )
  api.post("/count", done, async () => {
    await kv.increment("count")
    return {}
  })
})

/** A server whose database is at the other end of a wire. */
async function start(t: TestContext, env: Record<string, string> = {}) {
  const made = await createTestDatabase(await ledgersOf(app.folder))
  t.after(() => made.drop())
  const eyes = openEyes(made.address)
  t.after(() => eyes.close())
  await sql`create table rows (id uuid)`.execute(eyes.db)
  const wire = await openWire(t, made.address)
  const served = await serveOn(t, app, wire.address, { env: { ...patient, ...env } })
  return { ...served, wire, eyes: eyes.db }
}

test("while the database is stopped all that needs it is answered 503, whatever it waits for", async (t) => {
  const { visitor, wire, pool, log } = await start(t, { DATABASE_POOL_SIZE: "3" })
  const get = (path: string) => timed(visitor.get(`/api/sample/${path}`))
  const post = (path: string) => timed(visitor.post(`/api/sample/${path}`))
  assert.equal((await get("one")).status, 200)

  const holder = get("hold")
  await until(() => holding !== undefined)
  const running = [get("slow"), get("slow")]
  await until(() => pool.totalCount === 3 && pool.idleCount === 0)
  const waiting = Array.from({ length: 10 }, () => get("one"))
  await until(() => pool.waitingCount === 10)
  wire.stop()
  const late = [get("one"), post(`rows/${crypto.randomUUID()}`), post("count")]
  const answers = await Promise.all([...running, ...waiting, ...late])
  // From now on at once.
  const next = await Promise.all([get("one"), post(`rows/${crypto.randomUUID()}`), post("count")])
  holding!.resolve()
  for (const { status, headers, body } of [...answers, ...next, await holder]) {
    assert.equal(status, 503)
    assert.match(headers.get("content-type") ?? "", /^application\/problem\+json/)
    assert.match(body.detail, /^The database cannot be reached\. [\w ]+\.$/)
  }
  assert.equal((await visitor.get("/api/health")).status, 200)
  t.diagnostic(`503 after ${slowest(answers)} at most, then after ${slowest(next)}`)

  wire.go()
  t.diagnostic(`back after ${await recovered(() => get("one"))}`)
  assert.equal((await post(`rows/${crypto.randomUUID()}`)).status, 200)
  await until(() => pool.idleCount === pool.totalCount && pool.waitingCount === 0)
  const said = log.filter((line) => / database: /.test(line)).map((line) => line.replace(/^.*?\(/, "(").trim())
  assert.deepEqual(said, [
    "(WARNING) database: The database cannot be reached: it does not answer. Trying again until it does.",
    "(INFO) database: The database answers again.",
  ])
  // Those of the pool, and one that hears of changes where somebody is logged in: the one that asked is closed again.
  await until(() => wire.connections().open === pool.totalCount)
})

test("nothing that was acknowledged is lost when the database is stopped again and again", async (t) => {
  const { visitor, wire, eyes } = await start(t)
  const writers = writeRows(visitor, 20)
  for (let outage = 1; outage <= 3; outage++) {
    const before = writers.acknowledged.length
    await until(() => writers.acknowledged.length > before + 50)
    wire.stop()
    // Meanwhile nothing is written.
    while ((await visitor.get("/api/sample/one")).status !== 503);
    wire.go()
    t.diagnostic(`back after ${await recovered(() => visitor.get("/api/sample/one"))}`)
  }
  await writers.end()
  assert.deepEqual([...writers.other.keys()], [503])
  assert.deepEqual(await lost(eyes, writers.acknowledged), { missing: [], halves: [] })
  t.diagnostic(`${writers.acknowledged.length} acknowledged, ${writers.other.get(503)} times 503, none lost`)
})

test("connections that end with the database's are made anew", async (t) => {
  const { visitor, wire, eyes, pool } = await start(t)
  const writers = writeRows(visitor, 20)
  for (let outage = 1; outage <= 3; outage++) {
    const before = writers.acknowledged.length
    await until(() => writers.acknowledged.length > before + 50)
    wire.cut()
    await recovered(() => visitor.get("/api/sample/one"))
  }
  await writers.end()
  assert.deepEqual(
    [...writers.other.keys()].filter((status) => status !== 503),
    [],
  )
  assert.deepEqual(await lost(eyes, writers.acknowledged), { missing: [], halves: [] })
  await until(() => pool.idleCount === pool.totalCount)
})

test("a slow query, and one that waits for a lock, are not taken for a database that is stopped", async (t) => {
  const { visitor, wire, pool, log, eyes } = await start(t)
  const [slow, lock] = [visitor.get("/api/sample/slow"), eyes.startTransaction().execute()]
  const locker = await lock
  await sql`lock table rows`.execute(locker)
  let isWritten = false
  const write = visitor.post(`/api/sample/rows/${crypto.randomUUID()}`).finally(() => {
    isWritten = true
  })
  assert.equal((await slow).status, 200)
  assert.equal(isWritten, false)
  assert.equal(wire.connections().made, pool.totalCount + 1, "the server was asked, on one connection")
  await locker.commit().execute()
  assert.equal((await write).status, 200)
  assert.ok(!log.some((line) => line.includes("cannot be reached")), log.join(""))
  await until(() => wire.connections().open === pool.totalCount)
})

test("a process that is busy for long does not take that for silence", async (t) => {
  const { visitor, log } = await start(t)
  const asked = visitor.get("/api/sample/one")
  // The query is sent, and its answer comes while nobody can read it.
  await new Promise(setImmediate)
  for (const end = performance.now() + 2000; performance.now() < end; );
  assert.equal((await asked).status, 200)
  assert.ok(!log.some((line) => line.includes("cannot be reached")), log.join(""))
})

/** A PostgreSQL and all that it has started. */
function processesOf(postmaster: number): number[] {
  const lines = execFileSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" }).trim().split("\n")
  const children = lines
    .map((line) => line.trim().split(/\s+/).map(Number))
    .filter(([, parent]) => parent === postmaster)
  return [postmaster, ...children.map(([pid]) => pid!)]
}

test("a real PostgreSQL that is stopped, goes on, and is killed loses nothing, and the server needs no restart", async (t) => {
  const { options } = await seeded(t)
  const database = await open(t, options)
  const eyes = openEyes(database.connection)
  later(t, () => eyes.close())
  await migrateUp(eyes.db, await ledgersOf(app.folder))
  await sql`create table rows (id uuid)`.execute(eyes.db)
  const { visitor } = await serveOn({ after: (end) => later(t, end as () => unknown) }, app, database.connection, {
    env: patient,
  })
  const writers = writeRows(visitor, 20)
  later(t, () => writers.end())
  const more = async () => {
    const before = writers.acknowledged.length
    await until(() => writers.acknowledged.length > before + 50)
  }
  await more()

  const postmaster = (await postmasterOf(options.folder))!
  // First the one that starts the others.
  process.kill(postmaster, "SIGSTOP")
  const stopped = processesOf(postmaster)
  const go = () => {
    for (const pid of stopped.splice(0)) process.kill(pid, "SIGCONT")
  }
  later(t, go)
  for (const pid of stopped.slice(1)) process.kill(pid, "SIGSTOP")
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => timed(visitor.post(`/api/sample/rows/${crypto.randomUUID()}`))),
  )
  const ready = await timed(visitor.get("/api/health/ready"))
  assert.deepEqual([...new Set([...answers, ready].map(({ status }) => status))], [503])
  t.diagnostic(`stopped: 503 after ${slowest(answers)} at most`)
  go()
  t.diagnostic(`back after ${await recovered(() => visitor.get("/api/sample/one"))}`)
  await more()

  const refused = writers.other.get(503)!
  process.kill(postmaster, "SIGKILL")
  await until(() => writers.other.get(503)! > refused)
  t.diagnostic(`killed: back after ${await recovered(() => visitor.get("/api/sample/one"))}`)
  await more()
  await writers.end()

  assert.deepEqual([...writers.other.keys()], [503])
  assert.equal((await visitor.get("/api/health/ready")).status, 200)
  assert.deepEqual(await lost(eyes.db, writers.acknowledged), { missing: [], halves: [] })
  t.diagnostic(`${writers.acknowledged.length} acknowledged, none lost`)
})

test("a Redis that is stopped or killed is answered for with 503 too", { skip: noRedis }, async (t) => {
  const redis = await startRedis(t)
  const made = await createTestDatabase(await ledgersOf(app.folder))
  t.after(() => made.drop())
  const { url, visitor } = await serveOn(t, app, made.address, { env: patient, redisUrl: redis.url })
  const anna = new Browser(url)
  assert.equal((await anna.post("/api/signup", person("anna"))).status, 201)
  const count = () => timed(visitor.post("/api/sample/count"))

  let acknowledged = 0
  for (let i = 0; i < 50; i++) if ((await count()).status === 200) acknowledged++
  assert.equal(acknowledged, 50)
  redis.freeze()
  const calls = Array.from({ length: 20 }, (_, i) => (i % 2 ? count() : timed(anna.get("/api/me/sessions"))))
  const answers = await Promise.all(calls)
  const next = await Promise.all([count(), timed(anna.get("/api/me/sessions"))])
  for (const { status, headers } of [...answers, ...next]) {
    assert.equal(status, 503)
    assert.match(headers.get("content-type") ?? "", /^application\/problem\+json/)
  }
  // What needs only the database goes on.
  assert.equal((await visitor.get("/api/sample/one")).status, 200)
  redis.thaw()
  t.diagnostic(
    `503 after ${slowest(answers)} at most, then after ${slowest(next)}; back after ${await recovered(count)}`,
  )
  acknowledged++
  // The session is still there, and so is every step that was acknowledged.
  assert.equal((await anna.get("/api/me/sessions")).status, 200)
  const eyes = await openRedis(redis.url, "test:", new Log("error"))
  assert.ok(Number(await eyes.client.get("test:kv:count")) >= acknowledged)
  await eyes.close()

  await redis.kill()
  for (let i = 0; i < 20; i++) assert.equal((await count()).status, 503)
  await redis.start()
  t.diagnostic(`killed: back after ${await recovered(count)}`)
})
