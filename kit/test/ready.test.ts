// @together
/** GET /api/health/ready: what it looks at, what it says and does not say, and what it costs. */
import assert from "node:assert/strict"
import { once } from "node:events"
import net from "node:net"
import { type TestContext, test } from "node:test"
import { type Api, sql, Type } from "trestle"
import { ledgersOf } from "../src/db/migrations.ts"
import { createTestDatabase } from "../src/db/test-database.ts"
import { until } from "./embedded/scratch.ts"
import { openEyes } from "./outages.ts"
import { noRedis, startRedis } from "./redis.ts"
import { sampleApp } from "./sample/app.ts"
import { type ServeOptions, serveOn } from "./serve-on.ts"
import { openWire } from "./wire.ts"

const path = "/api/health/ready"

/** Holds its connection until the test lets it go. */
const held: { resolve(): void }[] = []
const app = sampleApp((api: Api) => {
  api.get("/hold", { role: "visitor", schema: { response: { 200: Type.Object({}) } } }, async () => {
    await api.db.connection().execute(async () => {
      const { promise, resolve } = Promise.withResolvers<void>()
      held.push({ resolve })
      await promise
    })
    return {}
  })
})

async function start(t: TestContext, options: ServeOptions = {}) {
  const made = await createTestDatabase(await ledgersOf(app.folder))
  t.after(() => made.drop())
  const eyes = openEyes(made.address)
  t.after(() => eyes.close())
  const wire = await openWire(t, made.address)
  const served = await serveOn(t, app, wire.address, options)
  return { ...served, wire, eyes: eyes.db, ready: () => served.visitor.get(path) }
}

type Ready = Awaited<ReturnType<typeof start>>["ready"]

/** 503, for this reason and saying nothing else. */
function assertNotReady({ status, headers, body }: Awaited<ReturnType<Ready>>, reason: string): void {
  assert.equal(status, 503)
  assert.match(headers.get("content-type") ?? "", /^application\/problem\+json/)
  assert.equal(headers.get("cache-control"), "no-store")
  const { request_id: id, ...rest } = body
  assert.equal(id, headers.get("x-request-id"))
  assert.deepEqual(rest, {
    type: "about:blank",
    title: "Service Unavailable",
    status: 503,
    detail: `Not ready: ${reason}.`,
  })
}

const silent = "the database does not answer"

/**
 * Asks until it is ready, and gives that answer; before that it says that the database is silent and nothing else. On a machine that
 * is too slow for a look that can be at any time: an answer is promised within a second.
 */
async function becomesReady(ready: Ready): ReturnType<Ready> {
  let answer = await ready()
  await until(async () => {
    if (answer.status === 200) return true
    assertNotReady(answer, silent)
    answer = await ready()
    return false
  })
  return answer
}

/** Asks until it says this reason, and looks at that answer. */
async function saysNotReady(ready: Ready, reason: string): Promise<void> {
  await until(async () => {
    const answer = await ready()
    if (answer.body.detail !== `Not ready: ${reason}.`) return false
    assertNotReady(answer, reason)
    return true
  })
}

test("a server is ready when its database answers and the migrations are in place; no limit counts the calls", async (t) => {
  const { visitor, ready } = await start(t, { env: { RATE_LIMIT_ENABLED: "true", RATE_LIMIT_LIMIT: "1/minute" } })
  for (let i = 0; i < 20; i++) {
    const { headers, body } = await becomesReady(ready)
    assert.deepEqual(Object.keys(body), ["message", "timestamp"])
    assert.equal(body.message, "Server is ready")
    assert.equal(headers.get("cache-control"), "no-store")
    assert.equal(headers.get("x-ratelimit-limit"), null)
  }
  await until(async () => (await visitor.call("HEAD", path)).status === 200)
  assert.equal((await visitor.get("/api/health")).status, 200)
  assert.equal((await visitor.get("/api/health")).status, 429)
})

test("while the database is stopped it is not ready but alive, and says so without waiting for it", async (t) => {
  const { visitor, ready, wire, log } = await start(t)
  await becomesReady(ready)
  wire.stop()
  await until(async () => (await ready()).status === 503)
  const began = performance.now()
  assertNotReady(await ready(), silent)
  t.diagnostic(`503 after ${Math.round(performance.now() - began)} ms`)
  assert.equal((await visitor.get("/api/health")).status, 200)
  wire.go()
  await becomesReady(ready)
  const said = log.filter((line) => line.includes(" health: "))
  assert.ok(said.length >= 2 && said.length % 2 === 0, said.join(""))
  for (const [i, line] of said.entries()) {
    if (i % 2 === 0) assert.match(line, /\(WARNING\) health: Not ready: the database does not answer \(.+\)\.$/m)
    else assert.match(line, /\(INFO\) health: Ready again\.$/m)
  }
})

test("a database that refuses is told as one that does not answer, and why is in the log", async (t) => {
  const { ready, wire, log, eyes } = await start(t)
  const { rows } = await sql<{ name: string }>`select current_database() as name`.execute(eyes)
  const { name } = rows[0]!
  const other = await start(t)
  const allowConnections = (allowed: boolean) =>
    sql.raw(`alter database ${name} with allow_connections ${allowed}`).execute(other.eyes)
  await allowConnections(false)
  wire.cut()
  await until(async () => (await ready()).status === 503)
  assertNotReady(await ready(), silent)
  assert.match(
    log.join(""),
    /health: Not ready: the database does not answer \(.*is not currently accepting connections/,
  )
  await allowConnections(true)
  await becomesReady(ready)
})

test("however many ask, the database is asked once", async (t) => {
  const { ready, wire } = await start(t)
  wire.stop()
  // Nobody has an answer while all of them come.
  const answers = await Promise.all(Array.from({ length: 500 }, ready))
  for (const answer of answers) assertNotReady(answer, silent)
  const { made } = wire.connections()
  t.diagnostic(`500 calls, ${made} connections to ask on`)
  // One for the question and one for the migrations; others only for who came when the time of the first look was over.
  assert.ok(made <= 10, `${made} connections`)
})

test("who hangs up takes nobody else's answer away", async (t) => {
  const { url, ready } = await start(t)
  await until(async () => {
    const hangUp = new AbortController()
    const first = fetch(url + path, { signal: hangUp.signal }).catch(() => {})
    const others = Array.from({ length: 5 }, ready)
    hangUp.abort()
    await first
    const answers = await Promise.all(others)
    for (const answer of answers) if (answer.status !== 200) assertNotReady(answer, silent)
    return answers.every(({ status }) => status === 200)
  })
})

test("a pool that is used up does not make it look as if the database were away", async (t) => {
  const { visitor, ready, pool } = await start(t, {
    env: { DATABASE_POOL_SIZE: "2", DATABASE_CONNECT_TIMEOUT: "10 min", WORKERS_REQUEST_TIMEOUT: "10 min" },
  })
  await becomesReady(ready)
  const holders = [visitor.get("/api/sample/hold"), visitor.get("/api/sample/hold")]
  await until(() => held.length === 2)
  assert.equal(pool.idleCount, 0)
  await becomesReady(ready)
  for (const { resolve } of held.splice(0)) resolve()
  for (const holder of holders) assert.equal((await holder).status, 200)
})

test("migrations that are pending are named; once they are in place nobody asks again", async (t) => {
  const { ready, eyes } = await start(t)
  const { rows } = await sql<{ name: string }>`
    delete from trestle.app_migrations returning name`.execute(eyes)
  assert.ok(rows.length > 0)
  await saysNotReady(ready, "migrations are pending")
  for (const { name } of rows) await sql`insert into trestle.app_migrations values (${name}, now())`.execute(eyes)
  await until(async () => (await ready()).status === 200)
  await sql`drop table trestle.app_migrations`.execute(eyes)
  await until(async () => (await ready()).status === 200)
})

test("a Redis that is stopped or killed is named", { skip: noRedis }, async (t) => {
  const redis = await startRedis(t)
  const { ready, wire } = await start(t, { redisUrl: redis.url })
  const isReady = async () => (await ready()).status === 200
  await until(isReady)
  redis.freeze()
  await saysNotReady(ready, "Redis does not answer")
  redis.thaw()
  await until(isReady)
  await redis.kill()
  await saysNotReady(ready, "Redis does not answer")
  wire.stop()
  await saysNotReady(ready, "Redis does not answer; the database does not answer")
  wire.go()
  await saysNotReady(ready, "Redis does not answer")
  await redis.start()
  await until(isReady)
})

test("a server that drains is not ready at once, without asking anybody", async (t) => {
  let isDraining = false
  const { ready, wire, visitor } = await start(t, { isDraining: () => isDraining })
  await becomesReady(ready)
  wire.stop()
  isDraining = true
  assertNotReady(await ready(), "the server is stopping")
  assert.equal((await visitor.get("/api/health")).status, 200)
})

test("so is one that is being closed, for who is still connected", async (t) => {
  const { url, server, ready } = await start(t)
  await becomesReady(ready)
  const socket = net.connect(Number(new URL(url).port), "127.0.0.1")
  let answer = ""
  socket.on("data", (bytes) => {
    answer += bytes
  })
  const received = once(server.server, "connection")
  socket.write(`GET ${path} HTTP/1.1\r\n`)
  await received
  const closed = server.close()
  await until(() => !server.server.listening)
  socket.write("host: localhost\r\nconnection: close\r\n\r\n")
  await once(socket, "close")
  assert.match(answer, /^HTTP\/1\.1 503 .*Not ready: the server is stopping\./s)
  await closed
})
