// @together
/**
 * What one server ends, every other refuses within a second: told by the database, and also while nothing is told. That is an
 * order, not a speed: no request that was sent a second after the end may be let in, however slow the machine is.
 */
import assert from "node:assert/strict"
import { type TestContext, test } from "node:test"
import { type Api, sql, Type } from "trestle"
import { createApiKey, revokeApiKey } from "../src/auth/api-keys.ts"
import { openCapabilities } from "../src/capabilities.ts"
import { databaseSettings } from "../src/cli/database.ts"
import { loadConfig } from "../src/core/config/index.ts"
import { Log } from "../src/core/log.ts"
import { type DatabaseAddress, openDatabase } from "../src/db/database.ts"
import { ledgersOf } from "../src/db/migrations.ts"
import { openRedis } from "../src/db/redis.ts"
import { createTestDatabase } from "../src/db/test-database.ts"
import { createServer } from "../src/server.ts"
import { Browser, person } from "./browser.ts"
import { noRedis, startRedis } from "./redis.ts"
import { sampleApp } from "./sample/app.ts"
import { openWire, type Wire } from "./wire.ts"

const app = sampleApp((api: Api) => {
  api.put(
    "/data/:key",
    { role: "readonly", schema: { params: Type.Object({ key: Type.String() }), response: { 200: Type.Object({}) } } },
    async ({ session, params }) => {
      await session.set(params.key as "count", 1)
      return {}
    },
  )
})

/** Servers on one database; what the second one hears of changes comes through a wire that can be cut. */
async function twoServers(t: TestContext, redisUrl?: string) {
  const config = loadConfig({ folder: "/nonexistent", env: { RATE_LIMIT_ENABLED: "false" }, sections: app.config! })
  const log: string[] = []
  const database = await createTestDatabase(await ledgersOf(app.folder))
  const wire = await openWire(t, database.address)
  const start = async (changesFrom: DatabaseAddress) => {
    const logger = new Log("warn", "server", (line) => void log.push(line))
    const opened = openDatabase(database.address, databaseSettings(config), logger)
    const redis = redisUrl ? await openRedis(redisUrl, "test:", logger) : undefined
    const capabilities = openCapabilities({ app, config, mode: "production", database: opened, redis, log: logger })
    const server = await createServer({
      app,
      config,
      mode: "production",
      database: { ...opened, address: changesFrom },
      capabilities,
      redis,
      log: logger,
    })
    t.after(async () => {
      await server.close()
      await capabilities.close()
      await redis?.close()
      await opened.close()
    })
    return { url: await server.listen({ host: "127.0.0.1", port: 0 }), db: opened.db }
  }
  t.after(() => database.drop())
  const first = await start(database.address)
  const second = await start(wire.address)
  return { first, second, wire, log }
}

/** People who are logged in at the first server and known to the second. */
async function people(count: number, first: string, second: string): Promise<Browser[]> {
  const anna = new Browser(first)
  assert.equal((await anna.post("/api/signup", person("anna"))).status, 201)
  const { email, password } = person("anna")
  const browsers: Browser[] = []
  for (let i = 0; i < count; i++) {
    const browser = new Browser(first)
    assert.equal((await browser.post("/api/login", { email, password })).status, 200)
    const elsewhere = Object.assign(new Browser(second), { home: browser })
    elsewhere.cookies.set("session", browser.cookies.get("session")!)
    assert.equal((await elsewhere.get("/api/me/sessions")).status, 200)
    browsers.push(elsewhere)
  }
  return browsers
}

/** Asks until all are refused; nobody may be let in whose request was sent over a second after `ended`. */
async function refusedWithinASecond(t: TestContext, browsers: Browser[], ended: number): Promise<void> {
  let last = ended
  let letIn = browsers
  for (const deadline = performance.now() + 30_000; letIn.length > 0; ) {
    assert.ok(performance.now() < deadline, `${letIn.length} of ${browsers.length} are still let in`)
    const still: Browser[] = []
    for (const browser of letIn) {
      const sent = performance.now()
      const { status } = await browser.get("/api/me")
      if (status === 401) continue
      assert.equal(status, 200)
      assert.ok(sent - ended < 1000, `let in ${Math.round(sent - ended)} ms after the end`)
      last = performance.now()
      still.push(browser)
    }
    letIn = still
  }
  t.diagnostic(`the last of ${browsers.length} was let in ${Math.round(last - ended)} ms after the end`)
}

test("who logs out on one server is refused on the other", async (t) => {
  const { first, second } = await twoServers(t)
  const browsers = await people(100, first.url, second.url)
  for (const browser of browsers as (Browser & { home: Browser })[]) {
    assert.equal((await browser.home.post("/api/logout")).status, 200)
  }
  await refusedWithinASecond(t, browsers, performance.now())
})

test("so they are with sessions in Redis", { skip: noRedis }, async (t) => {
  const { url } = await startRedis(t)
  const { first, second } = await twoServers(t, url)
  const browsers = await people(20, first.url, second.url)
  for (const browser of browsers as (Browser & { home: Browser })[]) {
    assert.equal((await browser.home.post("/api/logout")).status, 200)
  }
  await refusedWithinASecond(t, browsers, performance.now())
})

for (const [what, harm] of [
  ["cut", (wire: Wire) => wire.cut()],
  ["silent", (wire: Wire) => wire.silence(true)],
] as const) {
  test(`so they are when the channel that tells of it is ${what}`, async (t) => {
    const { first, second, wire } = await twoServers(t)
    const browsers = await people(20, first.url, second.url)
    harm(wire)
    await sql`update trestle.users set disabled = true`.execute(first.db)
    await refusedWithinASecond(t, browsers, performance.now())
    wire.silence(false)
    await sql`update trestle.users set disabled = false`.execute(first.db)
    for (const browser of browsers) assert.equal((await browser.get("/api/me")).status, 200)
  })
}

test("so they are behind a pooler that delivers no notifications", async (t) => {
  const { first, second, wire, log } = await twoServers(t)
  wire.deafen()
  const browsers = await people(20, first.url, second.url)
  for (const browser of browsers as (Browser & { home: Browser })[]) {
    assert.equal((await browser.home.post("/api/logout")).status, 200)
  }
  await refusedWithinASecond(t, browsers, performance.now())
  while (!log.join("").includes("Changes of other processes are not heard")) await browsers[0]!.get("/api/me")
})

test("a new password and a role that was taken away count on the other server", async (t) => {
  const { first, second } = await twoServers(t)
  const [browser] = await people(1, first.url, second.url)
  const { email, password } = person("anna")
  const home = new Browser(first.url)
  const { id } = (await home.post("/api/login", { email, password })).body
  const { token } = await createApiKey(first.db, { name: "boss", role: "superuser" })
  const boss = new Browser(first.url, { "x-api-key": token })
  assert.equal((await boss.patch(`/api/users/${id}`, { role: "superuser" })).status, 200)
  while ((await browser!.get("/api/users")).status !== 200);

  assert.equal((await boss.patch(`/api/users/${id}`, { role: "readonly" })).status, 200)
  const ended = performance.now()
  for (let status = 200; status === 200; ) {
    const sent = performance.now()
    ;({ status } = await browser!.get("/api/users"))
    assert.ok(status === 403 || sent - ended < 1000)
  }
  const change = { current_password: password, new_password: "A whole new one 8" }
  assert.equal((await home.post("/api/me/password", change)).status, 200)
  await refusedWithinASecond(t, [browser!], performance.now())
})

test("the server that changes an account counts it at once, whatever it is told of", async (t) => {
  const { first, second, wire } = await twoServers(t)
  const anna = new Browser(second.url)
  const { id } = (await anna.post("/api/signup", person("anna"))).body
  const { token } = await createApiKey(first.db, { name: "boss", role: "superuser" })
  const boss = new Browser(second.url, { "x-api-key": token })
  // So often that she is remembered.
  for (let i = 0; i < 50; i++) assert.equal((await anna.get("/api/users")).status, 403)
  wire.silence(true)
  assert.equal((await boss.patch(`/api/users/${id}`, { role: "superuser" })).status, 200)
  assert.equal((await anna.get("/api/users")).status, 200)
})

test("a revoked API key is refused on every server", async (t) => {
  const { first, second } = await twoServers(t)
  const { key, token } = await createApiKey(first.db, { name: "machine", role: "editor" })
  const machine = new Browser(second.url, { "x-api-key": token })
  for (let i = 0; i < 3; i++) assert.equal((await machine.get("/api/login")).status, 200)
  await revokeApiKey(first.db, key.id)
  await refusedWithinASecond(
    t,
    [Object.assign(machine, { get: () => machine.call("GET", "/api/login") })],
    performance.now(),
  )
})

test("data that two servers write to one session is all there", async (t) => {
  const { first, second } = await twoServers(t)
  const [browser] = await people(1, first.url, second.url)
  const servers = [browser!, Object.assign(new Browser(first.url), { cookies: browser!.cookies })]
  const writes = Array.from({ length: 1000 }, (_, i) => i)
  for (let i = 0; i < writes.length; i += 50) {
    const batch = writes.slice(i, i + 50)
    const statuses = await Promise.all(batch.map((n) => servers[n % 2]!.call("PUT", `/api/sample/data/k${n}`)))
    assert.ok(statuses.every(({ status }) => status === 200))
  }
  const { rows } = await sql<{ count: number }>`select count(*)::int as count from trestle.session_data`.execute(
    first.db,
  )
  assert.equal(rows[0]!.count, 1000)
})
