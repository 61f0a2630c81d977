// @together
/** API keys, and what is answered to whom. */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { test } from "node:test"
import { type Role, roles, sql, Type } from "trestle"
import { testApp } from "trestle/testing"
import { createApiKey, environmentKeyId, listApiKeys, revokeApiKey } from "../src/auth/api-keys.ts"
import { Item, ItemInput, sampleApp } from "./sample/app.ts"

const Me = Type.Object({ id: Type.String(), role: Type.String(), name: Type.String() })

const app = sampleApp((api) => {
  for (const role of roles) {
    api.get(`/for-${role}`, { role, schema: { response: { 200: Type.Object({}) } } }, async () => ({}))
  }
  api.get("/me", { role: "readonly", schema: { response: { 200: Me } } }, async ({ user }) => {
    const { id, role, name } = user
    return { id, role, name }
  })
  api.get("/user-of-visitor", { role: "visitor", schema: { response: { 200: Me } } }, async ({ user }) => user)
  api.post(
    "/items",
    { role: "editor", schema: { body: ItemInput, response: { 201: Item } } },
    async (request, reply) => {
      const values = { ...request.body, owner: request.user.id }
      return reply
        .code(201)
        .send(await api.db.insertInto("sample_items").values(values).returningAll().executeTakeFirstOrThrow())
    },
  )
})

test("a role may do what the roles below it may, and no more", async (t) => {
  const { as, visitor } = await testApp(t, app)
  for (const [i, role] of roles.entries()) {
    for (const [j, needed] of roles.entries()) {
      const caller = role === "visitor" ? visitor : as(role)
      const expected = i >= j ? 200 : role === "visitor" ? 401 : 403
      assert.equal((await caller.get(`/api/sample/for-${needed}`)).status, expected, `${role} at ${needed}`)
    }
  }
})

test("roles.denied_status 401 answers so to a role that is too low", async (t) => {
  const { as } = await testApp(t, app, { env: { ROLES_DENIED_STATUS: "401" } })
  assert.equal((await as("readonly").get("/api/sample/for-editor")).status, 401)
})

test("a key with a role that is unknown or disabled is let in nowhere", async (t) => {
  const { visitor, db } = await testApp(t, app)
  const { token, key } = await createApiKey(db, { name: "x", role: "admin" })
  for (const role of ["disabled", "root"]) {
    await sql`update trestle.api_keys set role = ${role} where id = ${key.id}`.execute(db)
    for (const path of ["for-visitor", "for-readonly"]) {
      assert.equal((await visitor.get(`/api/sample/${path}`, { "x-api-key": token })).status, 401)
    }
  }
})

test("GET /api/health says that the server is alive", async (t) => {
  const { visitor } = await testApp(t, app)
  const before = new Date().toISOString()
  const { status, body } = await visitor.get("/api/health")
  assert.equal(status, 200)
  assert.deepEqual(Object.keys(body), ["message", "timestamp"])
  assert.equal(body.message, "Server is healthy")
  assert.ok(body.timestamp >= before && body.timestamp.endsWith("Z"))
})

test("GET /api/login says whether a key is good", async (t) => {
  const { as, visitor } = await testApp(t, app)
  const good = await as("readonly").get("/api/login")
  assert.deepEqual([good.status, good.body.message], [200, "Login successful."])
  const missing = await visitor.get("/api/login")
  assert.deepEqual([missing.status, missing.body.detail], [401, "Missing API key"])
  const bad = await visitor.get("/api/login", { "x-api-key": "trk_wrong" })
  assert.deepEqual([bad.status, bad.body.detail], [401, "Invalid API key"])
})

test("with API keys switched off, GET /api/login is 405 and keys mean nothing", async (t) => {
  const { as, visitor } = await testApp(t, app, { env: { API_KEYS_ENABLED: "false" } })
  assert.equal((await visitor.get("/api/login")).status, 405)
  assert.equal((await as("admin").get("/api/login")).status, 405)
  assert.equal((await as("admin").get("/api/sample/for-readonly")).status, 401)
  assert.equal((await as("admin").get("/api/sample/for-visitor")).status, 200)
})

test("the environment's key is an admin, or what api_keys.environment_role says, with an id that stays", async (t) => {
  const token = "a token of the environment"
  const API_TOKEN_HASH = createHash("sha256").update(token).digest("hex")
  for (const [env, role] of [
    [{ API_TOKEN_HASH }, "admin"],
    [{ API_TOKEN_HASH: API_TOKEN_HASH.toUpperCase(), API_KEYS_ENVIRONMENT_ROLE: "readonly" }, "readonly"],
  ] as const) {
    const { visitor } = await testApp(t, app, { env })
    const me = await visitor.get("/api/sample/me", { "x-api-key": token })
    assert.deepEqual(me.body, { id: environmentKeyId, role, name: "environment" })
    assert.equal((await visitor.get("/api/sample/me", { "x-api-key": API_TOKEN_HASH })).status, 401)
  }
})

test("a key is a principal: what it creates bears its id", async (t) => {
  const { as, db } = await testApp(t, app)
  const item = (await as("editor", "robot").post("/api/sample/items", { name: "a", owner: "me" })).body
  const key = (await listApiKeys(db)).find(({ name }) => name === "robot")
  assert.equal(item.owner, key?.id)
})

test("only the SHA-256 of a token is kept, and its last use", async (t) => {
  const { visitor, db } = await testApp(t, app)
  const { token, key } = await createApiKey(db, { name: "robot", role: "editor" })
  assert.match(token, /^trk_[\w-]{43}$/)
  assert.equal(key.last_used, null)
  await visitor.get("/api/sample/me", { "x-api-key": token })
  const read = async () => {
    const { rows } = await sql<{ row: string; hash: string; last_used: string }>`
      select api_keys::text as row, encode(hash, 'hex') as hash, last_used from trestle.api_keys`.execute(db)
    return rows
  }
  // The request does not wait for it.
  let rows = await read()
  while (!rows[0]?.last_used) rows = await read()
  assert.equal(rows[0]?.hash, createHash("sha256").update(token).digest("hex"))
  assert.ok(!rows[0]?.row.includes(token))
  assert.ok(rows[0]?.last_used)
})

test("a revoked and an expired key are refused at once", async (t) => {
  const { visitor, db } = await testApp(t, app)
  const { token } = await createApiKey(db, {
    name: "robot",
    role: "editor",
    expires: new Date(Date.now() + 3600_000),
  })
  const status = async () => (await visitor.get("/api/sample/me", { "x-api-key": token })).status
  assert.equal(await status(), 200)
  await revokeApiKey(db, "robot")
  while ((await status()) !== 401);

  const soon = await createApiKey(db, { name: "soon", role: "editor", expires: new Date(Date.now() + 500) })
  let answer = 200
  while (answer === 200) {
    const isOver = Date.now() > Date.parse(soon.key.expires!)
    answer = (await visitor.get("/api/sample/me", { "x-api-key": soon.token })).status
    assert.ok(!isOver || answer === 401)
  }
})

test("keys that cannot be are refused with what to do", async (t) => {
  const { db } = await testApp(t, app)
  await assert.rejects(createApiKey(db, { name: "x", role: "edtor" }), /no role "edtor"\. Did you mean "editor"\?/)
  await assert.rejects(
    createApiKey(db, { name: "x", role: "visitor" }),
    /The roles are readonly, editor, admin, superuser/,
  )
  await assert.rejects(createApiKey(db, { name: "", role: "editor" }), /1 to 100 characters/)
  await assert.rejects(createApiKey(db, { name: "x", role: "editor", expires: new Date(0) }), /expired already/)
  await assert.rejects(revokeApiKey(db, "nobody"), /No key in force has the id or name "nobody"/)
  await createApiKey(db, { name: "twin", role: "editor" })
  await createApiKey(db, { name: "twin", role: "editor" })
  await assert.rejects(revokeApiKey(db, "twin"), /2 keys have the name "twin"\. Give the id/)
})

test("a key that is sent must be good, also where a visitor may call", async (t) => {
  const { visitor } = await testApp(t, app)
  for (const path of ["/api/sample/for-visitor", "/api/health"]) {
    assert.equal((await visitor.get(path, { "x-api-key": "wrong" })).status, 401)
  }
})

test("request.user answers 401 by itself where nobody is logged in", async (t) => {
  const { visitor } = await testApp(t, app)
  assert.equal((await visitor.get("/api/sample/user-of-visitor")).status, 401)
})

test("every role can be held by a caller of the tests", async (t) => {
  const { as } = await testApp(t, app)
  for (const role of roles.slice(1) as Exclude<Role, "visitor">[]) {
    assert.equal((await as(role).get("/api/sample/me")).body.role, role)
  }
})
