// @together
/** What every route has, and what it may not do. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { type Api, BootError, ById, defineApp, HttpError, notFound, type Routes, Type } from "trestle"
import { testApp } from "trestle/testing"
import { sampleApp } from "./sample/app.ts"

const Text = Type.Object({ text: Type.String() })
const open = { role: "visitor", schema: { response: { 200: Text } } } as const

test("a route without a role stops the boot with what to write", async (t) => {
  const app = sampleApp((api) => void api.get("/", { schema: { response: { 200: Text } } }, async () => ({ text: "" })))
  await assert.rejects(testApp(t, app), /The route GET \/api\/sample\/? names no role\. Write role: "visitor"/)
})

test("a route with a role that does not exist stops the boot with a guess", async (t) => {
  const app = sampleApp((api) => void api.get("/", { ...open, role: "edtior" as never }, async () => ({ text: "" })))
  await assert.rejects(testApp(t, app), /has the role "edtior"\. Did you mean "editor"\?/)
})

test("a route without response schemas stops the boot with what to write", async (t) => {
  const app = sampleApp((api) => void api.get("/", { role: "visitor" }, async () => ({ text: "" })))
  await assert.rejects(testApp(t, app), /declares no responses\. Write schema: \{ response:/)
})

test("a route whose time-out is no duration stops the boot", async (t) => {
  const app = sampleApp((api) => void api.get("/", { ...open, timeout: "20" }, async () => ({ text: "" })))
  await assert.rejects(testApp(t, app), /duration/)
})

test("two routes of the same method and path stop the boot with the place of the second", async (t) => {
  const app = sampleApp((api) => {
    api.get("/", open, async () => ({ text: "" }))
    api.get("/", open, async () => ({ text: "" }))
  })
  app.folder = import.meta.dirname
  await assert.rejects(testApp(t, app), (error: Error) => {
    assert.match(error.message, /GET.*\/api\/sample\/?'?\. Two routes cannot have.*\n.*routes\.test\.ts:\d+/)
    return error instanceof BootError
  })
})

test("an application without routes, or with what is no function, is refused in a sentence", () => {
  const folder = import.meta.dirname
  assert.throws(() => defineApp({ folder } as never), /defineApp needs routes: \{ movies \}/)
  assert.throws(() => defineApp({ folder, routes: { movies: 7 } } as never), /The routes of "movies" are a function/)
})

test("routes inside a plugin of the application are closed by default too", async (t) => {
  const app = sampleApp(async (api) => {
    await api.register(async (inner) => void (inner as Api).get("/inner", async () => ({ text: "" })))
  })
  await assert.rejects(testApp(t, app), /\/api\/sample\/inner names no role/)
})

test("an undeclared status never leaves: 500, and the log says which", async (t) => {
  for (const mode of ["test", "production"] as const) {
    const app = sampleApp((api) => {
      api.get("/teapot", open, async (_request, reply) => reply.code(418 as never).send({ secret: 1 } as never))
      api.get("/moved", open, async (_request, reply) => reply.redirect("/elsewhere"))
      api.get("/any", { role: "visitor", schema: { response: { "2xx": Text } } }, async (_request, reply) =>
        reply.code(202).send({ text: "later" }),
      )
    })
    const { visitor, log } = await testApp(t, app, { mode })
    for (const path of ["teapot", "moved"]) {
      const answer = await visitor.get(`/api/sample/${path}`)
      assert.equal(answer.status, 500)
      assert.ok(!JSON.stringify(answer.body).includes("secret"))
      assert.equal(answer.headers.get("location"), null)
    }
    assert.match(log.join(""), /\/api\/sample\/teapot answered 418, which its response schemas do not declare \(200\)/)
    assert.equal((await visitor.get("/api/sample/any")).status, 202)
  }
})

const leaky: Routes = (api) => {
  api.get("/", open, async () => ({ text: "shown", hash: "secret" }))
  const Nested = Type.Object({ list: Type.Array(Type.Object({ inner: Text })) })
  api.get("/nested", { role: "visitor", schema: { response: { 200: Nested } } }, async () => ({
    list: [{ inner: { text: "a" } }, { inner: { text: "b", hash: "secret" } }],
  }))
}

test("an undeclared field is an error in development and tests", async (t) => {
  const { visitor, log } = await testApp(t, sampleApp(leaky))
  for (const path of ["", "/nested"]) {
    const answer = await visitor.get(`/api/sample${path}`)
    assert.equal(answer.status, 500)
    assert.ok(!JSON.stringify(answer.body).includes("secret"))
  }
  assert.match(log.join(""), /answered the field "hash", which its response schema does not declare/)
  assert.match(log.join(""), /answered the field "list\[\]\.inner\.hash"/)
})

test("an undeclared field is left out in production, and logged once", async (t) => {
  const { visitor, log } = await testApp(t, sampleApp(leaky), { mode: "production" })
  for (let i = 0; i < 3; i++) assert.deepEqual((await visitor.get("/api/sample")).body, { text: "shown" })
  assert.deepEqual((await visitor.get("/api/sample/nested")).body, {
    list: [{ inner: { text: "a" } }, { inner: { text: "b" } }],
  })
  assert.equal(log.filter((line) => line.includes('"hash"')).length, 1)
})

test("a reply that lacks a required field is a 500, never half an answer", async (t) => {
  const app = sampleApp((api) => void api.get("/", open, async () => ({}) as never))
  const { visitor } = await testApp(t, app)
  assert.equal((await visitor.get("/api/sample")).status, 500)
})

test("null in an optional field is left out, and the handler's object stays as it was", async (t) => {
  const kept = { text: "a", maybe: null }
  const Maybe = Type.Object({ text: Type.String(), maybe: Type.Optional(Type.String()) })
  const app = sampleApp((api) => {
    api.get("/", { role: "visitor", schema: { response: { 200: Maybe } } }, async () => kept)
    const Nullable = Type.Object({ maybe: Type.Optional(Type.Union([Type.String(), Type.Null()])) })
    api.get("/null", { role: "visitor", schema: { response: { 200: Nullable } } }, async () => ({ maybe: null }))
  })
  const { visitor } = await testApp(t, app)
  assert.deepEqual((await visitor.get("/api/sample")).body, { text: "a" })
  assert.deepEqual(kept, { text: "a", maybe: null })
  assert.deepEqual((await visitor.get("/api/sample/null")).body, { maybe: null })
})

test("an HttpError answers with its status and message, anything else with 500 and nothing of the inside", async (t) => {
  const app = sampleApp((api) => {
    api.get("/missing", open, async () => {
      throw notFound("thing")
    })
    api.get("/busy", open, async () => {
      throw new HttpError(409, "Taken.", {
        headers: { "x-why": "test" },
        errors: [{ at: "body/x", message: "is taken." }],
      })
    })
    api.get("/broken", open, async () => {
      throw new Error("the password is hunter2", { cause: new Error("deep inside") })
    })
    api.get("/text", open, async () => {
      throw "hunter2"
    })
  })
  const { visitor, log } = await testApp(t, app)

  const missing = await visitor.get("/api/sample/missing")
  assert.equal(missing.headers.get("content-type"), "application/problem+json; charset=utf-8")
  assert.deepEqual(missing.body, {
    type: "about:blank",
    title: "Not Found",
    status: 404,
    detail: "No such thing.",
    request_id: missing.headers.get("x-request-id"),
  })
  const busy = await visitor.get("/api/sample/busy")
  assert.deepEqual([busy.status, busy.headers.get("x-why")], [409, "test"])
  assert.deepEqual(busy.body.errors, [{ at: "body/x", message: "is taken." }])

  for (const path of ["broken", "text"]) {
    const broken = await visitor.get(`/api/sample/${path}`)
    assert.equal(broken.status, 500)
    assert.ok(!JSON.stringify(broken.body).includes("hunter2"))
    assert.ok(log.join("").includes(broken.body.request_id))
  }
  assert.match(log.join(""), /caused by Error: deep inside/)
  assert.equal(log.filter((line) => line.includes("/missing")).length, 0)
})

test("a query is read as its schema says, strictly, and what it does not name is ignored", async (t) => {
  const Query = Type.Object({
    n: Type.Optional(Type.Number()),
    i: Type.Optional(Type.Integer()),
    b: Type.Optional(Type.Boolean()),
    list: Type.Optional(Type.Array(Type.Integer())),
    either: Type.Optional(Type.Union([Type.Literal("all"), Type.Integer()])),
    size: Type.Integer({ default: 10 }),
  })
  const app = sampleApp((api) => {
    const Any = Type.Object({}, { additionalProperties: true })
    api.get(
      "/",
      { role: "visitor", schema: { querystring: Query, response: { 200: Any } } },
      async ({ query }) => query,
    )
  })
  const { visitor } = await testApp(t, app)
  const read = async (query: string) => (await visitor.get(`/api/sample?${query}`)).body
  assert.deepEqual(await read("n=1.5&i=-3&b=true&list=1&list=2&either=all&utm=x"), {
    n: 1.5,
    i: -3,
    b: true,
    list: [1, 2],
    either: "all",
    size: 10,
    utm: "x",
  })
  assert.deepEqual(await read("list=7&either=5&b=false&size=2"), { list: [7], either: 5, b: false, size: 2 })
  for (const bad of [
    "n=",
    "n=1e3",
    "i=1.5",
    "i=0x10",
    "i=99999999999999999999",
    "b=1",
    "b=TRUE",
    "list=a",
    "either=none",
  ]) {
    assert.equal((await read(bad)).status, 400, bad)
  }
})

test("bodies are closed at every depth, lose read-only fields, get defaults, and are never coerced", async (t) => {
  const Body = Type.Object({
    name: Type.String({ default: "unnamed" }),
    count: Type.Optional(Type.Integer()),
    parts: Type.Array(Type.Object({ id: Type.Readonly(Type.String()), size: Type.Integer() })),
  })
  const app = sampleApp((api) => {
    const Any = Type.Object({}, { additionalProperties: true })
    api.post("/", { role: "visitor", schema: { body: Body, response: { 200: Any } } }, async ({ body }) => body)
  })
  const { visitor } = await testApp(t, app)
  const ok = await visitor.post("/api/sample", { parts: [{ id: 7, size: 1 }] })
  assert.deepEqual(ok.body, { name: "unnamed", parts: [{ size: 1 }] })
  const deep = await visitor.post("/api/sample", { parts: [{ size: 1, sise: 2 }] })
  assert.deepEqual(deep.body.errors, [{ at: "body/parts/0/sise", message: 'is unknown. Did you mean "size"?' }])
  assert.equal((await visitor.post("/api/sample", { parts: [], count: "7" })).status, 400)
  const many = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`x${i}`, 1]))
  assert.equal((await visitor.post("/api/sample", { parts: [], ...many })).body.errors.length, 8)
})

test("a path that a schema refuses leads nowhere", async (t) => {
  const app = sampleApp(
    (api) =>
      void api.get("/:id", { ...open, schema: { params: ById, response: { 200: Text } } }, async () => ({ text: "" })),
  )
  const { visitor } = await testApp(t, app)
  assert.equal((await visitor.get("/api/sample/7")).status, 404)
  assert.equal((await visitor.get(`/api/sample/${crypto.randomUUID()}`)).status, 200)
})

test("a key of routes that begins with a slash is the whole path", async (t) => {
  const routes: Routes = (api) => void api.get("/hello", open, async () => ({ text: "hello" }))
  const app = sampleApp(routes, { routes: { "/pages": routes, "/": routes } })
  const { visitor } = await testApp(t, app)
  assert.equal((await visitor.get("/pages/hello")).status, 200)
  assert.equal((await visitor.get("/hello")).status, 200)
  assert.equal((await visitor.get("/api/sample/hello")).status, 404)
})
