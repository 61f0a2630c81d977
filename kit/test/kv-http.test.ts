// @together
/** The key-value store behind routes: what clients get when it fails, and what becomes of those who wait. */
import assert from "node:assert/strict"
import http from "node:http"
import { type TestContext, test } from "node:test"
import { type Api, sql, Type } from "trestle"
import { testApp } from "trestle/testing"
import { openCapabilities } from "../src/capabilities.ts"
import { databaseSettings } from "../src/cli/database.ts"
import { loadConfig } from "../src/core/config/index.ts"
import { Log } from "../src/core/log.ts"
import { openDatabase } from "../src/db/database.ts"
import { createServer } from "../src/server.ts"
import { ask } from "./raw-request.ts"
import { noRedis, startRedis } from "./redis.ts"
import { sampleApp } from "./sample/app.ts"

/** An application whose routes count, and wait for an item. */
function counting(waits: (popping: Promise<unknown>) => void = () => {}) {
  return sampleApp((api: Api) => {
    const { kv } = api
    const response = { 200: Type.Object({ value: Type.Unknown() }) }
    api.get("/count", { role: "visitor", schema: { response } }, async () => ({ value: await kv.increment("count") }))
    api.get("/wait", { role: "visitor", schema: { response } }, async () => {
      const popping = kv.pop("list", { wait: "1 minute" })
      waits(popping)
      return { value: (await popping) ?? "nothing" }
    })
    api.get("/short", { role: "visitor", timeout: "300 ms", schema: { response } }, async () => ({
      value: (await kv.pop("list", { wait: "1 minute" })) ?? "nothing",
    }))
  })
}

function both(name: string, work: (t: TestContext, env: Record<string, string>) => Promise<void>): void {
  test(`${name}, in PostgreSQL`, (t) => work(t, {}))
  test(`${name}, in Redis`, { skip: noRedis }, async (t) => work(t, { REDIS_URL: (await startRedis(t)).url }))
}

both("a test has a store of its own, and looks into it", async (t, env) => {
  const [one, two] = [await testApp(t, counting(), { env }), await testApp(t, counting(), { env })]
  assert.deepEqual((await one.visitor.get("/api/sample/count")).body, { value: 1 })
  assert.deepEqual((await one.visitor.get("/api/sample/count")).body, { value: 2 })
  assert.deepEqual((await two.visitor.get("/api/sample/count")).body, { value: 1 })
  assert.equal(await one.kv.get("count"), 2)
})

both("a GET that waits for an item answers with it, and one whose client hung up takes none", async (t, env) => {
  const first = Promise.withResolvers<{ popping: Promise<unknown> }>()
  const app = counting((popping) => first.resolve({ popping }))
  const { url, visitor, kv } = await testApp(t, app, { env })
  const gone = http.get(`${url}/api/sample/wait`).on("error", () => {})
  const { popping } = await first.promise
  gone.destroy()
  await assert.rejects(popping, /^Error: The client hung up\.$/)
  const waiting = visitor.get("/api/sample/wait")
  await kv.append("list", "for the second")
  assert.deepEqual((await waiting).body, { value: "for the second" })
  assert.equal(await kv.length("list"), 0)
})

both("a request that waits too long is answered 503 and takes nothing", async (t, env) => {
  const { visitor, kv } = await testApp(t, counting(), { env })
  assert.equal((await visitor.get("/api/sample/short")).status, 503)
  await kv.append("list", "still here")
  assert.deepEqual((await visitor.get("/api/sample/short")).body, { value: "still here" })
})

both("a server that stops does not wait for those who wait", async (t, env) => {
  const entered = Promise.withResolvers<void>()
  const { server, url } = await testApp(
    t,
    counting(() => entered.resolve()),
    { env },
  )
  const waiting = ask(`${url}/api/sample/wait`)
  await entered.promise
  await server.close()
  assert.deepEqual(JSON.parse((await waiting).body), { value: "nothing" })
})

test("what is set stays when the transaction around it is rolled back", async (t) => {
  const { db, kv } = await testApp(t, counting())
  const work = db.transaction().execute(async (tx) => {
    await sql`select 1`.execute(tx)
    await kv.set("key", 1)
    throw new Error("no")
  })
  await assert.rejects(work, /^Error: no$/)
  assert.equal(await kv.get("key"), 1)
})

test("with a Redis that hangs the client gets 503, and 200 afterwards", {
  skip: noRedis,
}, async (t) => {
  const redis = await startRedis(t)
  const { visitor, log } = await testApp(t, counting(), { env: { REDIS_URL: redis.url } })
  redis.freeze()
  for (const limit of [20_000, 20_000]) {
    const began = performance.now()
    const { status, body, headers } = await visitor.get("/api/sample/count")
    assert.equal(status, 503)
    assert.equal(headers.get("retry-after"), "2")
    assert.ok(!/redis/i.test(JSON.stringify(body)))
    assert.ok(performance.now() - began < limit, `${performance.now() - began} ms`)
  }
  redis.thaw()
  while ((await visitor.get("/api/sample/count")).status !== 200);
  assert.match(log.join(""), /GET \/api\/sample\/count failed .*Redis cannot be reached: it does not answer/)
  assert.ok(!log.join("").includes(redis.password))
})

test("without a database the client gets 503", async (t) => {
  const config = loadConfig({ folder: "/nonexistent", env: {} })
  const log = new Log("error", "server", () => {})
  const database = openDatabase({ url: "postgres://nobody@127.0.0.1:1/none" }, databaseSettings(config), log)
  const capabilities = openCapabilities({ app: counting(), config, mode: "test", database, log })
  const server = await createServer({ app: counting(), config, mode: "test", database, capabilities, log })
  t.after(async () => {
    await server.close()
    await capabilities.close()
    await database.close()
  })
  for (const path of ["count", "wait"]) assert.equal((await server.inject(`/api/sample/${path}`)).statusCode, 503)
})
