// @together
/** Idempotent routes: however often a request is sent with one key, it is done once and answered alike. */
import assert from "node:assert/strict"
import { type TestContext, test } from "node:test"
import { BootError, conflict, type Routes, sql, Type } from "trestle"
import { type TestOptions, testApp } from "trestle/testing"
import { keep, sweepKeptAnswers } from "../src/http/idempotency/kept-answers.ts"
import { Item, ItemInput, sampleApp } from "./sample/app.ts"

const path = "/api/sample"
const withKey = (key: string) => ({ "idempotency-key": key })
const unnamed = (name: string) => ({ name, note: "n" })

/** Adds an item, and does what its name says. */
const routes: Routes = (api) => {
  const schema = { body: ItemInput, response: { 201: Item, 409: Type.Object({ taken: Type.String() }) } }
  const add = { role: "editor", idempotent: true, schema } as const

  api.post("/", add, async ({ body, user, tx }, reply) => {
    const item = await tx
      .insertInto("sample_items")
      .values({ ...body, owner: user.id })
      .returningAll()
      .executeTakeFirstOrThrow()
    if (body.name === "thrown") throw conflict("This name is taken.")
    if (body.name === "broken") throw new Error("broken")
    if (body.name === "answered") return reply.code(409).send({ taken: body.name })
    if (body.name === "undeclared") return reply.code(202 as 201).send(item)
    if (body.name === "unsendable") reply.header("x-broken", "line\nbreak")
    if (body.name === "swallowed") await sql`select nothing`.execute(tx).catch(() => {})
    if (body.name === "deferred") await sql`insert into parents_of values (1)`.execute(tx)
    reply.headers({ location: `${path}/${item.id}`, "x-total": 7, "set-cookie": "secret=1", "x-list": ["a", "b"] })
    return reply.code(201).send(item)
  })
  const changes = { role: "editor", schema: { response: { 200: Type.Object({ n: Type.Integer() }) } } } as const
  let n = 0
  api.route({
    ...changes,
    method: ["PUT", "PATCH"],
    url: "/n/:id",
    idempotent: true,
    handler: async () => ({ n: ++n }),
  })
  const gone = { role: "editor", idempotent: true, schema: { response: { 204: Type.Null() } } } as const
  api.delete("/n/:id", gone, async (_request, reply) => {
    n++
    reply.code(204)
  })
  api.get("/n", changes, async () => ({ n }))
  api.post("/plain", changes, async (request) => ({ n: Number(Boolean(request.tx)) }))
}

async function start(t: TestContext, options: TestOptions = {}) {
  const app = await testApp(t, sampleApp(routes), options)
  const items = async () =>
    (await sql<{ name: string }>`select name from sample_items order by created`.execute(app.db)).rows.map(
      ({ name }) => name,
    )
  return {
    ...app,
    items,
    get editor() {
      return app.as("editor")
    },
  }
}

/** Transactions that somebody left open; not those of statements that run, as what the server says to itself now and then. */
const openTransactions = async (app: { db: import("trestle").Db }) =>
  (
    await sql`
      select query from pg_stat_activity
      where datname = current_database() and state like 'idle in transaction%'`.execute(app.db)
  ).rows

test("a request that is sent again is answered again, and done once", async (t) => {
  const { editor, items } = await start(t)
  const first = await editor.post(path, unnamed("a"), withKey("k1"))
  assert.equal(first.status, 201)
  assert.equal(first.headers.get("idempotency-replayed"), null)
  assert.equal(first.headers.get("set-cookie"), "secret=1")
  for (let i = 0; i < 3; i++) {
    const again = await editor.post(path, unnamed("a"), withKey("k1"))
    assert.equal(again.status, 201)
    assert.deepEqual(again.body, first.body)
    assert.equal(again.headers.get("idempotency-replayed"), "true")
    for (const name of ["content-type", "content-length", "location", "x-total", "x-list", "x-frame-options"]) {
      assert.equal(again.headers.get(name), first.headers.get(name), name)
      assert.notEqual(again.headers.get(name), null, name)
    }
    assert.notEqual(again.headers.get("x-request-id"), first.headers.get("x-request-id"))
    assert.equal(again.headers.get("set-cookie"), null, "cookies are kept nowhere")
  }
  assert.deepEqual(await items(), ["a"])
  const other = await editor.post(path, unnamed("a"), withKey("k2"))
  assert.notEqual(other.body.id, first.body.id)
  assert.deepEqual(await items(), ["a", "a"])
})

test("rate limits count each time that it is sent", async (t) => {
  const { editor } = await start(t, { env: { RATE_LIMIT_ENABLED: "true" } })
  const first = await editor.post(path, unnamed("a"), withKey("k"))
  const again = await editor.post(path, unnamed("a"), withKey("k"))
  assert.equal(again.headers.get("idempotency-replayed"), "true")
  assert.equal(
    Number(again.headers.get("x-ratelimit-remaining")),
    Number(first.headers.get("x-ratelimit-remaining")) - 1,
  )
})

test("without a key each request is done, and in a transaction all the same", async (t) => {
  const app = await start(t)
  for (const status of [201, 201]) assert.equal((await app.editor.post(path, unnamed("a"))).status, status)
  assert.equal((await app.editor.post(path, unnamed("thrown"))).status, 409)
  assert.equal((await app.editor.post(path, unnamed("answered"))).status, 409)
  assert.deepEqual(await app.items(), ["a", "a"])
  assert.deepEqual(await openTransactions(app), [])
  assert.deepEqual((await sql`select from trestle.kept_answers`.execute(app.db)).rows, [])
})

test("methods of one path are routes of their own, and an answer without a body is kept too", async (t) => {
  const { editor } = await start(t)
  const put = () => editor.put(`${path}/n/1`, {}, withKey("k"))
  const patch = () => editor.patch(`${path}/n/1`, {}, withKey("k"))
  const remove = () => editor.delete(`${path}/n/1`, withKey("k"))
  assert.deepEqual([(await put()).body, (await patch()).body, (await put()).body], [{ n: 1 }, { n: 2 }, { n: 1 }])
  for (const replayed of [null, "true"]) {
    const removed = await remove()
    assert.deepEqual([removed.status, removed.body], [204, undefined])
    assert.equal(removed.headers.get("content-type"), null)
    assert.equal(removed.headers.get("idempotency-replayed"), replayed)
  }
  assert.deepEqual((await editor.get(`${path}/n`)).body, { n: 3 })
})

test("another request with the same key is 422 and changes nothing", async (t) => {
  const { editor, items } = await start(t)
  const first = await editor.post(path, unnamed("a"), withKey("k"))
  await editor.put(`${path}/n/1`, {}, withKey("k"))
  for (const other of [
    () => editor.post(path, unnamed("b"), withKey("k")),
    () => editor.post(path, { name: "a" }, withKey("k")),
    () => editor.post(`${path}?a=1`, unnamed("a"), withKey("k")),
    () => editor.put(`${path}/n/2`, {}, withKey("k")),
  ]) {
    const { status, body } = await other()
    assert.equal(status, 422)
    assert.match(body.detail, /another request\. Take a new key/)
  }
  assert.deepEqual(await items(), ["a"])
  assert.deepEqual((await editor.post(path, unnamed("a"), withKey("k"))).body, first.body)
})

test("what validation or the role refuses uses up no key", async (t) => {
  const { editor, as, visitor, items } = await start(t)
  assert.equal((await editor.post(path, { nope: 1 }, withKey("k"))).status, 400)
  assert.equal((await editor.post(path, "{", withKey("k"))).status, 400)
  assert.equal((await as("readonly").post(path, unnamed("a"), withKey("k"))).status, 403)
  assert.equal((await visitor.post(path, unnamed("a"), withKey("k"))).status, 401)
  const done = await editor.post(path, unnamed("a"), withKey("k"))
  assert.deepEqual([done.status, done.headers.get("idempotency-replayed")], [201, null])
  assert.deepEqual(await items(), ["a"])
})

test("an error rolls back, is not kept, and is tried again by whoever asks again", async (t) => {
  const app = await start(t)
  const { editor, items, db, log } = app
  await sql`create table parents (id int primary key)`.execute(db)
  await sql`create table parents_of (id int references parents deferrable initially deferred)`.execute(db)
  const errors: [name: string, status: number][] = [
    ["thrown", 409],
    ["broken", 500],
    ["answered", 409],
    ["undeclared", 500],
    ["unsendable", 500],
    ["swallowed", 500],
    ["deferred", 500],
  ]
  for (const [name, status] of errors) {
    for (let i = 0; i < 2; i++) {
      const answer = await editor.post(path, unnamed(name), withKey(name))
      assert.equal(answer.status, status, name)
      assert.equal(answer.headers.get("idempotency-replayed"), null)
      assert.deepEqual(await openTransactions(app), [], name)
    }
  }
  assert.deepEqual(await items(), [])
  assert.ok(!log.some((line) => line.includes("HARAKIRI")), "none of them waited for its time to be over")
  await sql`insert into parents values (1)`.execute(db)
  assert.equal((await editor.post(path, unnamed("deferred"), withKey("deferred"))).status, 201)
  assert.deepEqual(await items(), ["deferred"])
})

test("an answer is kept for 24 hours, and swept after that", async (t) => {
  const { editor, db, items } = await start(t)
  const first = await editor.post(path, unnamed("a"), withKey("k"))
  await editor.post(path, unnamed("a"), withKey("younger"))
  const { rows } = await sql<{ hours: number }>`
    select extract(epoch from expires - now()) / 3600 as hours from trestle.kept_answers`.execute(db)
  for (const { hours } of rows) assert.ok(hours > 23.9 && hours <= 24)
  const age = (to: string) =>
    sql`
    update trestle.kept_answers set expires = now() + ${to}::interval where body like ${`%${first.body.id}%`}::bytea`.execute(
      db,
    )
  const count = async () => (await sql`select from trestle.kept_answers`.execute(db)).rows.length

  await age("0")
  const again = await editor.post(path, unnamed("a"), withKey("k"))
  assert.notEqual(again.body.id, first.body.id, "what has expired counts for nothing, also before it is swept")
  assert.deepEqual((await editor.post(path, unnamed("a"), withKey("k"))).body, again.body)
  assert.equal((await items()).length, 3)
  assert.equal(await count(), 2)

  await sql`update trestle.kept_answers set expires = now() where position(${again.body.id}::bytea in body) > 0`.execute(
    db,
  )
  await sql`
    insert into trestle.kept_answers (id, fingerprint, status, headers, expires)
    select sha256(n::text::bytea), sha256(''), 200, '{}', now() from generate_series(1, 2500) as n`.execute(db)
  await sweepKeptAnswers(db)
  assert.equal(await count(), 1)
})

test("an answer that is kept takes no other's place", async (t) => {
  const { db } = await start(t)
  const request = { id: Buffer.alloc(32, 1), fingerprint: Buffer.alloc(32, 2) }
  await keep(db, request, { status: 200, headers: {}, body: "one" })
  await assert.rejects(keep(db, request, { status: 200, headers: {}, body: "two" }), /is being answered/)
  const { rows } = await sql<{ body: Buffer }>`select body from trestle.kept_answers`.execute(db)
  assert.deepEqual(
    rows.map(({ body }) => body.toString()),
    ["one"],
  )
})

test("what changes nothing cannot be idempotent, and other routes have no transaction", async (t) => {
  for (const method of ["GET", "HEAD", ["POST", "GET"], "OPTIONS"]) {
    const schema = { response: { 200: Type.String() } }
    const wrong: Routes = (api) =>
      void api.route({ method, url: "/", role: "editor", idempotent: true, schema, handler: async () => "" } as never)
    await assert.rejects(testApp(t, sampleApp(wrong)), (error) => {
      assert.ok(error instanceof BootError)
      assert.match(error.message, /has idempotent: true, which is for POST, PUT, PATCH, DELETE\. Leave it out/)
      return true
    })
  }
  const { editor, log } = await start(t)
  assert.equal((await editor.post(`${path}/plain`)).status, 500)
  assert.ok(log.some((line) => line.includes("request.tx is for the handlers of routes with idempotent: true")))
})
