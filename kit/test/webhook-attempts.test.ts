// @together
/** Webhooks as jobs: tried again until they are taken, under one id, with the secrets that count at the moment. */
import assert from "node:assert/strict"
import { randomUUID } from "node:crypto"
import type { ServerResponse } from "node:http"
import { test } from "node:test"
import { sql, verifyWebhook } from "trestle"
import { Log } from "../src/core/log.ts"
import { createAttempt } from "../src/webhooks/attempt.ts"
import { deliveryRules } from "../src/webhooks/deliver.ts"
import type { OpenWebhooks } from "../src/webhooks/webhooks.ts"
import { type Received, startReceiver } from "./receiver.ts"
import { event, idOf, startWithWebhooks } from "./webhook-app.ts"

test("a receiver that fails is asked again, under the same id, until it takes the event", async (t) => {
  const { jobs, webhooks } = await startWithWebhooks(t)
  const statuses = [500, 429, 302, 404, 200]
  const { port, received } = await startReceiver(t, (_, response) => response.writeHead(statuses.shift()!).end("busy"))
  const { id, secret } = await webhooks.createEndpoint({ url: `http://127.0.0.1:${port}/` })
  const sent = await webhooks.send(id, event)
  assert.match(sent.id, /^msg_[\w-]{24}$/)

  const [first] = await jobs.run()
  assert.match(String(first!.error), /did not take item.created. It answered 500 Internal Server Error: busy/)
  const failing = (await webhooks.find(id))!
  assert.equal(failing.failures, 1)
  assert.equal(failing.last_status, 500)
  assert.equal(failing.last_trouble, "It answered 500 Internal Server Error: busy")
  assert.equal(failing.failing_since, failing.last_attempt)

  await jobs.run({ early: true })
  assert.deepEqual(received.map(idOf), Array(5).fill(sent.id))
  assert.equal(new Set(received.map(({ body }) => body)).size, 1)
  for (const { headers, body } of received) verifyWebhook(secret, headers, body)
  const { failures, failing_since, last_trouble, last_status } = (await webhooks.find(id))!
  assert.deepEqual(
    { failures, failing_since, last_trouble, last_status },
    {
      failures: 0,
      failing_since: null,
      last_trouble: null,
      last_status: 200,
    },
  )
})

test("an event that is never taken is a dead letter after 16 attempts over days, and can be sent again", async (t) => {
  const { jobs, webhooks, db } = await startWithWebhooks(t)
  let isUp = false
  const { port, received } = await startReceiver(t, (_, response) => response.writeHead(isUp ? 200 : 503).end())
  const { id } = await webhooks.createEndpoint({ url: `http://127.0.0.1:${port}/` })
  await webhooks.send(id, event)
  let waitedS = 0
  for (let retries = 0; retries < 15; retries++) {
    await jobs.run()
    const { rows } = await sql<{ wait: number }>`
      select extract(epoch from start_after - now())::float8 as wait from trestle_jobs.job where state = 'retry'
    `.execute(db)
    waitedS += rows[0]!.wait
    await sql`update trestle_jobs.job set start_after = now() where state = 'retry'`.execute(db)
  }
  const days = waitedS / 86_400
  assert.ok(days > 1.8 && days < 3, `${days} days`)
  await jobs.run()
  assert.equal(received.length, 16)
  const { rows } = await sql<{ id: string }>`
    select id from trestle_jobs.job where name = 'trestle.webhook' and state = 'failed'`.execute(db)
  assert.equal((await jobs.find(rows[0]!.id))?.phase, "dead")
  assert.equal((await webhooks.find(id))!.failures, 16)

  isUp = true
  assert.ok(await jobs.retry(rows[0]!.id))
  await jobs.run()
  assert.equal(received.length, 17)
  assert.equal(new Set(received.map(idOf)).size, 1)
})

test("the same job run twice sends the same id and body, with a signature of its moment", async (t) => {
  const { webhooks, jobs, db } = await startWithWebhooks(t)
  const { port, received } = await startReceiver(t)
  const { id, secret } = await webhooks.createEndpoint({ url: `http://127.0.0.1:${port}/` })
  await webhooks.send(id, event)
  await jobs.run()
  await sql`update trestle_jobs.job set state = 'created', completed_on = null`.execute(db)
  await jobs.run()
  assert.equal(received.length, 2)
  assert.equal(idOf(received[0]!), idOf(received[1]!))
  assert.equal(received[0]!.body, received[1]!.body)
  for (const { headers, body } of received) verifyWebhook(secret, headers, body)
})

test("410 Gone ends it: the endpoint is disabled, and says why", async (t) => {
  const { webhooks, jobs, log } = await startWithWebhooks(t)
  const { port, received } = await startReceiver(t, (_, response) => response.writeHead(410).end())
  const { id } = await webhooks.createEndpoint({ url: `http://127.0.0.1:${port}/` })
  await webhooks.send(id, event)
  await webhooks.send(id, event)
  const ran = await jobs.run({ early: true })
  assert.deepEqual(
    ran.map(({ error }) => error),
    [undefined, undefined],
  )
  assert.equal(received.length, 1)
  const { disabled, disabled_reason, last_status } = (await webhooks.find(id))!
  assert.ok(disabled)
  assert.deepEqual({ disabled_reason, last_status }, { disabled_reason: "It answered 410 Gone.", last_status: 410 })
  assert.ok(log.some((line) => line.includes(`${id} answered 410 Gone`)))
  assert.equal((await webhooks.send(id, event)).endpoints, 0)

  assert.equal((await webhooks.enable(id)).disabled_reason, null)
  assert.equal((await webhooks.send(id, event)).endpoints, 1)
})

test("what a former address answers says nothing of the new one, which gets the event", async (t) => {
  const { webhooks, jobs } = await startWithWebhooks(t)
  const asked = Promise.withResolvers<ServerResponse>()
  const former = await startReceiver(t, (_, response) => asked.resolve(response))
  const { port, received } = await startReceiver(t)
  const { id } = await webhooks.createEndpoint({ url: `http://127.0.0.1:${former.port}/` })
  await webhooks.send(id, event)
  const first = jobs.run()
  const response = await asked.promise
  await webhooks.change(id, { url: `http://127.0.0.1:${port}/` })
  response.writeHead(410).end()
  await first
  const { disabled, last_attempt, failures } = (await webhooks.find(id))!
  assert.deepEqual({ disabled, last_attempt, failures }, { disabled: null, last_attempt: null, failures: 0 })
  await jobs.run({ early: true })
  assert.deepEqual(received.map(idOf), [idOf(former.received[0]!)])
})

test("a name that leads inside is refused at each attempt, and nothing is sent", async (t) => {
  const { db, webhooks, server } = await startWithWebhooks(t, {})
  const { port, received } = await startReceiver(t)
  const { id: endpoint } = await webhooks.createEndpoint({ url: `http://receiver.example:${port}/` })
  const rules = { ...deliveryRules(server.config, "test"), resolve: async () => ["127.0.0.1"] }
  const waiting = { endpoint, id: "msg_1", type: "a", body: "{}" }
  const attempt = createAttempt(db, rules)(waiting, { log: new Log("error"), signal: new AbortController().signal })
  await assert.rejects(attempt, /receiver.example is a private or local address/)
  assert.equal(received.length, 0)
  assert.equal((await webhooks.find(endpoint))!.failures, 1)
})

test("receivers that keep connections open take ten places, and the other endpoints the rest", async (t) => {
  const { webhooks, jobs, server, db } = await startWithWebhooks(t)
  const held: ServerResponse[] = []
  const full = Promise.withResolvers<void>()
  const slow = await startReceiver(t, (_, response) => void (held.push(response) === 10 && full.resolve()))
  const quick = await startReceiver(t)
  const url = `http://127.0.0.1:${slow.port}/`
  const hogs = [
    await webhooks.createEndpoint({ url, owner: "hog" }),
    await webhooks.createEndpoint({ url, owner: "hog" }),
  ]
  const other = await webhooks.createEndpoint({ url: `http://127.0.0.1:${quick.port}/`, owner: "other" })
  const { attempt } = (server as unknown as { webhooks: OpenWebhooks }).webhooks
  const run = { log: new Log("error"), signal: new AbortController().signal }
  const to = (endpoint: string) => attempt({ endpoint, id: "msg_1", type: "a", body: "{}" }, run)
  const running = Array.from({ length: 10 }, (_, n) => to(hogs[n % 2]!.id))
  await full.promise

  await assert.rejects(to(hogs[0]!.id), { name: "Postponed" })
  await to(other.id)
  // As a job it waits, and has lost no attempt.
  await webhooks.send(hogs[0]!.id, event)
  await jobs.run()
  const { rows } = await sql<{ retry_count: number; waits: boolean }>`
    select retry_count, start_after > now() as waits from trestle_jobs.job where state < 'active'`.execute(db)
  assert.deepEqual(rows, [{ retry_count: 0, waits: true }])
  assert.equal(slow.received.length, 10)

  for (const response of held) response.writeHead(204).end()
  await Promise.all(running)
  const last = jobs.run({ early: true })
  await slow.nth(11)
  held.at(-1)!.writeHead(204).end()
  assert.deepEqual(
    (await last).map(({ error }) => error),
    [undefined],
  )
})

test("while a secret is replaced both sign, then only the new one does", async (t) => {
  const { webhooks, jobs, db } = await startWithWebhooks(t)
  const { port, received } = await startReceiver(t)
  const { id, secret: first } = await webhooks.createEndpoint({ url: `http://127.0.0.1:${port}/` })
  const deliver = async () => {
    await webhooks.send(id, event)
    await jobs.run()
    return received.at(-1)!
  }
  const checks = (secret: string, { headers, body }: Received) => {
    try {
      verifyWebhook(secret, headers, body)
      return true
    } catch {
      return false
    }
  }
  const { secret: second } = await webhooks.rotate(id)
  const during = await deliver()
  assert.deepEqual(
    [first, second].map((secret) => checks(secret, during)),
    [true, true],
  )
  assert.equal(during.headers["webhook-signature"]!.toString().split(" ").length, 2)

  const { rows } = await sql<{ hours: number }>`
    select extract(epoch from expires - now()) / 3600 as hours from trestle.webhook_secrets
    where expires is not null`.execute(db)
  assert.equal(rows.length, 1)
  assert.equal(Math.round(rows[0]!.hours), 24)
  await sql`update trestle.webhook_secrets set expires = now() where expires is not null`.execute(db)
  const after = await deliver()
  assert.deepEqual(
    [first, second].map((secret) => checks(secret, after)),
    [false, true],
  )

  const { secret: third } = await webhooks.rotate(id, { keepFor: "0 s" })
  const atOnce = await deliver()
  assert.deepEqual(
    [second, third].map((secret) => checks(secret, atOnce)),
    [false, true],
  )
})

test("secrets that are replaced at once, or too often, leave one in force and few beside it", async (t) => {
  const { webhooks, db } = await startWithWebhooks(t)
  const { id } = await webhooks.createEndpoint({ url: "http://example.com/" })
  const rotated = await Promise.all(Array.from({ length: 12 }, () => webhooks.rotate(id)))
  const { rows } = await sql<{ secret: string; expires: string | null }>`
    select secret, expires from trestle.webhook_secrets`.execute(db)
  assert.equal(rows.length, 5)
  const inForce = rows.filter(({ expires }) => expires === null)
  assert.equal(inForce.length, 1)
  assert.ok(rotated.some(({ secret }) => secret === inForce[0]!.secret))
  await assert.rejects(webhooks.rotate(randomUUID()), { statusCode: 404 })
  await assert.rejects(webhooks.rotate(id, { keepFor: "a while" }), TypeError)
})
