// @together
/** Webhooks as an application sends them: with its transaction, to whoever wants them, at addresses that may be. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { type Routes, sql, Type, verifyWebhook, type WebhookPayload } from "trestle"
import { testApp } from "../src/testing.ts"
import { deliverWebhook } from "../src/webhooks/deliver-webhook.ts"
import { newSecret, signedHeaders } from "../src/webhooks/signature.ts"
import { startReceiver } from "./receiver.ts"
import { sampleApp } from "./sample/app.ts"
import { event, routes, startWithWebhooks } from "./webhook-app.ts"

test("what a person's item did reaches the person's endpoint, signed, and nobody else's", async (t) => {
  const { as, jobs } = await startWithWebhooks(t)
  const [mine, other] = [await startReceiver(t), await startReceiver(t)]
  const made = await as("editor", "mine").post("/api/sample/endpoints", { url: `http://127.0.0.1:${mine.port}/hooks` })
  assert.equal(made.status, 201)
  await as("editor", "other").post("/api/sample/endpoints", { url: `http://127.0.0.1:${other.port}/` })

  const item = await as("editor", "mine").post("/api/sample/items", { name: "Spoon" })
  assert.equal(item.status, 201)
  assert.equal(mine.received.length, 0)
  await jobs.run()

  assert.equal(mine.received.length, 1)
  assert.equal(other.received.length, 0)
  const { headers, body } = mine.received[0]!
  const { type, timestamp, data } = verifyWebhook(made.body.secret, headers, body)
  assert.deepEqual({ type, data }, { type: "item.created", data: { id: item.body, name: "Spoon" } })
  assert.match(timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)

  const [shown] = (await as("editor", "mine").get("/api/sample/endpoints")).body
  assert.equal(shown.last_status, 204)
  assert.ok(!("secret" in shown) && !("last_trouble" in shown))
})

test("a transaction that is rolled back sends nothing", async (t) => {
  const { as, jobs, webhooks } = await startWithWebhooks(t)
  const { port, received } = await startReceiver(t)
  await as("editor").post("/api/sample/endpoints", { url: `http://127.0.0.1:${port}/` })
  assert.equal((await as("editor").post("/api/sample/items?fail=true", { name: "Spoon" })).status, 500)
  assert.deepEqual(await jobs.run(), [])
  assert.equal(received.length, 0)
  const [endpoint] = await webhooks.list()
  assert.equal(endpoint!.last_attempt, null)
})

test("an application of Trestle takes what another one sends, and nothing that is forged", async (t) => {
  let secret = newSecret()
  const told: WebhookPayload[] = []
  const hooks: Routes = (api) => {
    api.addContentTypeParser("application/json", { parseAs: "string" }, (_request, body, done) => done(null, body))
    const schema = { response: { 200: Type.Object({}) } }
    api.post("/hooks", { role: "visitor", schema }, async ({ headers, body }) => {
      told.push(verifyWebhook(secret, headers, body as string))
      return {}
    })
  }
  const { url, visitor, webhooks, jobs } = await startWithWebhooks(t, undefined, hooks)
  const made = await webhooks.createEndpoint({ url: `${url}/api/more/hooks` })
  secret = made.secret
  await webhooks.publish(event)
  await jobs.run()
  assert.deepEqual(
    told.map(({ data }) => data),
    [event.data],
  )
  assert.equal((await webhooks.find(made.id))!.last_status, 200)
  const forged = signedHeaders([newSecret()], { id: "msg_1", body: Buffer.from("{}") })
  assert.equal((await visitor.post("/api/more/hooks", "{}", forged)).status, 401)
  assert.equal(told.length, 1)
})

test("in production an endpoint needs TLS, unless that is allowed", async (t) => {
  const url = "http://example.com/hooks"
  const app = sampleApp(routes)
  const strict = await testApp(t, app, { mode: "production" })
  await assert.rejects(strict.server.webhooks.createEndpoint({ url }), {
    statusCode: 400,
    message: /begins with https/,
  })
  const lax = await testApp(t, app, { mode: "production", env: { WEBHOOKS_ALLOW_HTTP: "true" } })
  assert.equal((await lax.server.webhooks.createEndpoint({ url })).url, url)
})

test("an address inside is refused when the endpoint is made", async (t) => {
  const { as, webhooks } = await startWithWebhooks(t, {})
  for (const host of ["127.0.0.1", "localhost", "169.254.169.254", "[::1]"]) {
    const refused = await as("editor").post("/api/sample/endpoints", { url: `http://${host}:8100/` })
    assert.equal(refused.status, 400)
    assert.match(refused.body.detail, / is a private or local address. A webhook goes to one that is public.$/)
  }
  assert.deepEqual(await webhooks.list(), [])
})

test("an event goes to the endpoints that want its type, of the owner or of all", async (t) => {
  const { webhooks, jobs } = await startWithWebhooks(t)
  const url = "http://example.com/"
  const make = async (more: object) => (await webhooks.createEndpoint({ url, ...more })).id
  const nobodys = await make({})
  const anna = await make({ owner: "anna" })
  const annaSome = await make({ owner: "anna", events: ["item.created", "item.deleted"] })
  const annaOther = await make({ owner: "anna", events: ["item.deleted"] })
  const ben = await make({ owner: "ben" })
  await webhooks.disable(await make({ owner: "anna" }))

  const published = async (options: object) => {
    const before = (await jobs.sent(deliverWebhook)).length
    const { endpoints, id } = await webhooks.publish(event, options)
    const sent = (await jobs.sent(deliverWebhook)).slice(before).map(({ data }) => data as Record<string, string>)
    assert.equal(sent.length, endpoints)
    assert.ok(sent.every((data) => data.id === id))
    return sent.map(({ endpoint }) => endpoint).sort()
  }
  assert.deepEqual(await published({}), [nobodys])
  assert.deepEqual(await published({ owner: "anna" }), [anna, annaSome].sort())
  assert.deepEqual(await published({ owner: "nobody" }), [])
  assert.deepEqual(await published({ everyone: true }), [nobodys, anna, annaSome, ben].sort())
  assert.equal((await webhooks.publish({ ...event, type: "item.deleted" }, { owner: "anna" })).endpoints, 3)
  assert.deepEqual((await webhooks.list({ owner: "anna" })).map(({ id }) => id).slice(0, 3), [
    anna,
    annaSome,
    annaOther,
  ])
  // @ts-expect-error: a caller without an id would otherwise see everybody's
  await assert.rejects(webhooks.list({ owner: undefined }), TypeError)
})

test("an endpoint can be changed, switched off and on, and deleted with its secrets", async (t) => {
  const { webhooks, jobs, db } = await startWithWebhooks(t)
  const { port, received } = await startReceiver(t)
  const made = await webhooks.createEndpoint({ url: "http://example.com", events: ["a.b"], description: "Shop" })
  assert.equal(made.url, "http://example.com/")
  const { id } = made
  const url = `http://127.0.0.1:${port}/`
  assert.deepEqual(await webhooks.change(id, {}), (await webhooks.find(id))!)
  assert.equal((await webhooks.change(id, { url })).description, "Shop")
  const changed = await webhooks.change(id, { events: null, description: null })
  assert.deepEqual([changed.url, changed.events, changed.description], [url, null, null])

  await webhooks.send(id, event)
  await webhooks.disable(id)
  await jobs.run()
  assert.equal(received.length, 0)

  await webhooks.enable(id)
  await webhooks.send(id, event)
  assert.equal(await webhooks.delete(id), true)
  assert.deepEqual(
    (await jobs.run()).map(({ error }) => error),
    [undefined],
  )
  assert.equal(received.length, 0)
  assert.equal(await webhooks.delete(id), false)
  assert.equal(await webhooks.find(id), undefined)
  const { rows } = await sql`select from trestle.webhook_secrets`.execute(db)
  assert.equal(rows.length, 0)
  const missing = { name: "HttpError", statusCode: 404, message: "No such webhook endpoint." }
  for (const call of [() => webhooks.send(id, event), () => webhooks.change(id, {}), () => webhooks.disable(id)]) {
    await assert.rejects(call, missing)
  }
  await assert.rejects(webhooks.enable(id), missing)
})

test("what can be no event or endpoint is refused before anything is stored", async (t) => {
  const { webhooks, jobs } = await startWithWebhooks(t)
  const { id } = await webhooks.createEndpoint({ url: "http://example.com/" })
  for (const type of ["", "a b", "a..b", ".a", "a.", "a\r\nwebhook-id: 1", "a-b", "ä", "a".repeat(101)]) {
    await assert.rejects(webhooks.send(id, { type, data: {} }), { statusCode: 400 }, JSON.stringify(type))
    await assert.rejects(webhooks.publish({ type, data: {} }), { statusCode: 400 }, JSON.stringify(type))
    await assert.rejects(webhooks.createEndpoint({ url: "http://example.com/", events: [type] }), { statusCode: 400 })
  }
  await assert.rejects(webhooks.createEndpoint({ url: "http://example.com/", events: [] }), { statusCode: 400 })
  await assert.rejects(webhooks.createEndpoint({ url: "http://user@example.com/" }), { statusCode: 400 })
  await assert.rejects(webhooks.change(id, { url: "nonsense" }), { statusCode: 400 })
  await assert.rejects(webhooks.send(id, { type: "a", data: "x".repeat(256_000) }), /at most 256 kB/)
  assert.deepEqual(await jobs.sent(), [])
  assert.equal((await webhooks.list()).length, 1)
})

test("what JSON can hold arrives as it was, also where jsonb would not take it", async (t) => {
  const { webhooks, jobs } = await startWithWebhooks(t)
  const { port, received } = await startReceiver(t)
  const { id } = await webhooks.createEndpoint({ url: `http://127.0.0.1:${port}/` })
  const timestamp = "2026-11-20T09:30:00.123456Z"
  const data = { zebra: 1, a: "\0 \ud800", "": null, list: [1.5, "ä\u2028"], nested: { b: 1, a: 2 } }
  await webhooks.send(id, { type: "a", data, timestamp })
  await webhooks.send(id, { type: "a", data: undefined, timestamp: new Date(0) })
  await jobs.run()
  assert.equal(received[0]!.body, JSON.stringify({ type: "a", timestamp, data }))
  assert.equal(received[1]!.body, '{"type":"a","timestamp":"1970-01-01T00:00:00.000Z","data":null}')
})

test("no secret lies in a job, a log or a reply that lists endpoints", async (t) => {
  const { as, webhooks, jobs, db, log } = await startWithWebhooks(t)
  const { port } = await startReceiver(t, (_, response) => response.writeHead(500).end())
  const made = await as("editor").post("/api/sample/endpoints", { url: `http://127.0.0.1:${port}/` })
  const { secret } = await webhooks.rotate(made.body.id)
  await webhooks.send(made.body.id, event)
  await jobs.run({ early: true })
  const { rows } = await sql`select * from trestle_jobs.job`.execute(db)
  const told = JSON.stringify([rows, log, await webhooks.list(), await webhooks.find(made.body.id)])
  for (const one of [secret, made.body.secret]) assert.ok(!told.includes(one.slice(6)))
})
