// @together
/** What an Idempotency-Key may be, and for whom and what it counts. */
import assert from "node:assert/strict"
import { type TestContext, test } from "node:test"
import { type Routes, Type } from "trestle"
import { type Caller, testApp } from "trestle/testing"
import { createApiKey } from "../src/auth/api-keys.ts"
import { ask } from "./raw-request.ts"
import { sampleApp } from "./sample/app.ts"

const path = "/api/sample"
const withKey = (key: string) => ({ "idempotency-key": key })

/** Counts how often they are run. */
const start = (t: TestContext) => {
  let runs = 0
  const schema = { response: { 200: Type.Object({ run: Type.Integer() }) } }
  const routes: Routes = (api) => {
    const run = async () => ({ run: ++runs })
    const forEditors = { role: "editor", idempotent: true, schema } as const
    api.post("/", forEditors, run)
    api.post("/other", forEditors, run)
    api.post("/open", { ...forEditors, role: "visitor" }, run)
    api.route({ ...forEditors, method: ["PUT", "PATCH"], url: "/:id", handler: run })
  }
  return testApp(t, sampleApp(routes))
}

test("two callers with one key do not meet, nor do two routes, nor two methods of one", async (t) => {
  const { as, person } = await start(t)
  const callers: Caller[] = [as("editor", "one"), as("editor", "two"), as("admin"), person("editor", "ann")]
  const runs = new Set<number>()
  for (const caller of callers) {
    for (const [method, route] of Object.entries({ POST: "/", post: "/other", PUT: "/1", PATCH: "/1" })) {
      const answer = await caller.call(method.toUpperCase(), path + route, {}, withKey("the-same"))
      assert.deepEqual([answer.status, answer.headers.get("idempotency-replayed")], [200, null])
      runs.add(answer.body.run)
    }
  }
  assert.equal(runs.size, 16)
})

test("a person is one caller, by whatever session", async (t) => {
  const { person, visitor } = await start(t)
  const ann = person("editor", "ann")
  const first = await ann.post(path, {}, withKey("k"))
  const { email, password } = ann
  const { body } = await visitor.post("/api/login", { email, password, token: true })
  const again = await visitor.post(path, {}, { ...withKey("k"), authorization: `Bearer ${body.token}` })
  assert.deepEqual([again.status, again.body], [200, first.body])
})

test("a key is 1 to 255 visible characters, plain or in quotes, and once", async (t) => {
  const { as, url, db } = await start(t)
  const editor = as("editor")
  const post = async (key: string) => {
    const { status, body } = await editor.post(path, {}, withKey(key))
    return { status, body }
  }
  const good = ["a", "8e03978e-40d5-43e8-bc93-6894a57f9324", "a/b+c==", "x".repeat(255), '"y"', `"${"z".repeat(255)}"`]
  for (const [i, key] of good.entries()) assert.deepEqual(await post(key), { status: 200, body: { run: i + 1 } })
  for (const [key, other] of [
    ['"a"', "a"],
    ["y", '"y"'],
    ['"q\\"\\\\,;"', '"q\\"\\\\,;"'],
  ] as const) {
    const one = await post(key)
    assert.equal(one.status, 200, key)
    assert.deepEqual(await post(other), one, key)
  }

  const bad = ["", " ", "a b", "a,b", "a;b", "é", "x".repeat(256), `"${"x".repeat(256)}"`, '""', '"a', 'a"', '"a b"']
  for (const key of [...bad, '"a"b', '"a";p=1', "a\\b", '"a\\b"', "a\tb"]) {
    const { status, body } = await post(key)
    assert.equal(status, 400, JSON.stringify(key))
    assert.match(body.detail, /must be one key of 1 to 255 visible ASCII characters/)
  }
  const { token } = await createApiKey(db, { role: "editor", name: "raw" })
  for (const keys of [
    ["a", "a"],
    ['"a"', '"b"'],
  ]) {
    const headers = { "x-api-key": token, "content-type": "application/json", "idempotency-key": keys }
    const answer = await ask(url + path, { method: "POST", headers, body: "{}" })
    assert.equal(answer.status, 400, "the header is there twice")
  }
  assert.deepEqual(await post("last"), { status: 200, body: { run: good.length + 2 } })
})

test("a visitor has no keys, and may call without one", async (t) => {
  const { visitor, as } = await start(t)
  const runs = [await visitor.post(`${path}/open`), await visitor.post(`${path}/open`)].map(({ body }) => body.run)
  assert.deepEqual(runs, [1, 2])
  const refused = await visitor.post(`${path}/open`, undefined, withKey("k"))
  assert.equal(refused.status, 401)
  assert.match(refused.body.detail, /counts for its caller/)
  for (let i = 0; i < 2; i++) {
    assert.deepEqual((await as("editor").post(`${path}/open`, undefined, withKey("k"))).body, { run: 3 })
  }
})
