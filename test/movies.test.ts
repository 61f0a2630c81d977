// @together
import assert from "node:assert/strict"
import { test } from "node:test"
import { testApp } from "trestle/testing"
import app from "../app/app.ts"
import { forgetStale } from "../app/movies/jobs.ts"

const gump = { title: "Forrest Gump", director: "Robert Zemeckis" }

test("an editor adds a movie and a visitor reads it", async (t) => {
  const { as, visitor } = await testApp(t, app)
  const created = await as("editor").post("/api/movies/", gump)
  assert.equal(created.status, 201)
  assert.match(created.body.id, /^[0-9a-f-]{36}$/)
  assert.match(created.body.created, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
  assert.equal(created.body.modified, created.body.created)

  const read = await visitor.get(`/api/movies/${created.body.id}`)
  assert.equal(read.status, 200)
  assert.deepEqual(read.body, created.body)
})

test("a new movie is told to the director's fans, once", async (t) => {
  const { as, jobs } = await testApp(t, app)
  const { body: movie } = await as("editor").post("/api/movies/", gump)
  assert.deepEqual(await jobs.sent(), [{ name: "tell-fans", data: { movieId: movie.id } }])
  const [ran] = await jobs.run()
  assert.equal(ran?.error, undefined)
})

test("a movie that is sent twice with one key is there once, and told once", async (t) => {
  const { as, jobs, visitor } = await testApp(t, app)
  const key = { "idempotency-key": "8e03978e-40d5-43e8-bc93-6894a57f9324" }
  const created = await as("editor").post("/api/movies/", gump, key)
  const again = await as("editor").post("/api/movies/", gump, key)
  assert.deepEqual([again.status, again.body], [201, created.body])
  assert.deepEqual((await visitor.get("/api/movies/")).body, [created.body])
  assert.equal((await jobs.sent()).length, 1)
  assert.equal((await as("editor").post("/api/movies/", { title: "Another" }, key)).status, 422)
})

test("every night movies are forgotten that nobody gave a title for a month", async (t) => {
  const { jobs, db, visitor } = await testApp(t, app)
  const creator = "00000000-0000-4000-8000-000000000000"
  const old = new Date(Date.now() - 40 * 24 * 3600_000)
  await db
    .insertInto("movies")
    .values([
      { title: "untitled", creator },
      { title: "untitled", creator, created: old },
      { title: "Alien", creator, created: old },
    ])
    .execute()
  await jobs.send(forgetStale, {})
  await jobs.run()
  const { body } = await visitor.get("/api/movies/")
  assert.deepEqual(body.map((movie: { title: string }) => movie.title).sort(), ["Alien", "untitled"])
})

test("a movie without a director has none in replies", async (t) => {
  const { as } = await testApp(t, app)
  const created = await as("editor").post("/api/movies/", { title: "Gump" })
  assert.equal(created.status, 201)
  assert.ok(!("director" in created.body))
})

test("who may not write learns so, and nothing is written", async (t) => {
  const { as, visitor } = await testApp(t, app)
  const movie = (await as("editor").post("/api/movies/", gump)).body
  for (const [caller, status] of [
    [visitor, 401],
    [as("readonly"), 403],
  ] as const) {
    assert.equal((await caller.post("/api/movies/", gump)).status, status)
    assert.equal((await caller.put(`/api/movies/${movie.id}`, { title: "Mine" })).status, status)
    assert.equal((await caller.patch(`/api/movies/${movie.id}`, { title: "Mine" })).status, status)
    assert.equal((await caller.delete(`/api/movies/${movie.id}`)).status, status)
  }
  assert.deepEqual((await visitor.get("/api/movies/")).body, [movie])
})

test("a movie is changed by its creator or an admin, not by another editor", async (t) => {
  const { as, visitor } = await testApp(t, app)
  const mine = as("editor", "mine")
  const { id } = (await mine.post("/api/movies/", gump)).body

  const refused = await as("editor", "other").put(`/api/movies/${id}`, { title: "Mine" })
  assert.equal(refused.status, 403)
  assert.equal((await as("editor", "other").delete(`/api/movies/${id}`)).status, 403)
  assert.equal((await mine.put(`/api/movies/${id}`, { title: "Gump" })).body.title, "Gump")
  assert.equal((await as("admin").patch(`/api/movies/${id}`, { title: "Forrest" })).body.title, "Forrest")

  const deleted = await as("admin").delete(`/api/movies/${id}`)
  assert.equal(deleted.status, 200)
  assert.equal(deleted.body.title, "Forrest")
  assert.equal((await visitor.get(`/api/movies/${id}`)).status, 404)
})

test("PUT and PATCH change what they name, and clients may send whole objects back", async (t) => {
  const { as } = await testApp(t, app)
  const editor = as("editor")
  const movie = (await editor.post("/api/movies/", { ...gump, id: "" })).body
  for (const method of ["PUT", "PATCH"]) {
    const changed = await editor.call(method, `/api/movies/${movie.id}`, {
      ...movie,
      id: "",
      created: 7,
      title: method,
    })
    assert.equal(changed.status, 200)
    assert.deepEqual(
      { ...changed.body, modified: "" },
      { ...movie, title: method, modified: "" },
      "only the title and the time of the change are new",
    )
    assert.ok(changed.body.modified > movie.modified)
    assert.equal((await editor.call(method, `/api/movies/${movie.id}`, {})).status, 200)
  }
})

test("bad bodies are refused with the fields that are wrong", async (t) => {
  const { as, visitor } = await testApp(t, app)
  const editor = as("editor")
  const wrong: [body: unknown, at: string[]][] = [
    [{}, ["body/title"]],
    [{ title: "" }, ["body/title"]],
    [{ title: "x".repeat(201) }, ["body/title"]],
    [{ title: 7 }, ["body/title"]],
    [{ title: null }, ["body/title"]],
    [{ ...gump, director: ["Zemeckis"] }, ["body/director"]],
    [{ ...gump, titel: "Gump", year: 1994 }, ["body/titel", "body/year"]],
    [[gump], ["body"]],
    ["null", ["body"]],
  ]
  for (const [body, at] of wrong) {
    const answer = await editor.post("/api/movies/", body)
    assert.equal(answer.status, 400, JSON.stringify(body))
    assert.deepEqual(
      answer.body.errors.map((error: { at: string }) => error.at),
      at,
    )
  }
  for (const body of ["", "{", '{"title":"a\\u0000b"}', '{"title":"x","__proto__":{}}']) {
    assert.equal((await editor.post("/api/movies/", body)).status, 400, body)
  }
  assert.match((await editor.post("/api/movies/", { ...gump, titel: 1 })).body.detail, /Did you mean "title"/)
  assert.deepEqual((await visitor.get("/api/movies/")).body, [])
})

test("what is not there answers 404, whatever its id looks like", async (t) => {
  const { as, visitor } = await testApp(t, app)
  for (const id of [crypto.randomUUID(), "7", "a'b", "%00", "x".repeat(200)]) {
    assert.equal((await visitor.get(`/api/movies/${id}`)).status, 404, id)
    assert.equal((await as("editor").put(`/api/movies/${id}`, {})).status, 404, id)
    assert.equal((await as("editor").delete(`/api/movies/${id}`)).status, 404, id)
  }
})

test("the list is oldest first, a page at a time, and says how many there are", async (t) => {
  const { as, visitor, db } = await testApp(t, app)
  for (let i = 1; i <= 5; i++) await as("editor").post("/api/movies/", { title: `Rocky ${i}` })
  const titles = async (query: string) =>
    (await visitor.get(`/api/movies/${query}`)).body.map((movie: { title: string }) => movie.title)

  assert.deepEqual(await titles(""), ["Rocky 1", "Rocky 2", "Rocky 3", "Rocky 4", "Rocky 5"])
  assert.deepEqual(await titles("?limit=2&page=2"), ["Rocky 3", "Rocky 4"])
  assert.deepEqual(await titles("?limit=2&page=9"), [])

  const page = await visitor.get("/api/movies?limit=2&page=2&search=rocky")
  assert.equal(page.headers.get("x-total-count"), "5")
  assert.equal(
    page.headers.get("link"),
    [
      '</api/movies?limit=2&page=1&search=rocky>; rel="first"',
      '</api/movies?limit=2&page=3&search=rocky>; rel="last"',
      '</api/movies?limit=2&page=1&search=rocky>; rel="prev"',
      '</api/movies?limit=2&page=3&search=rocky>; rel="next"',
    ].join(", "),
  )
  for (const query of [
    "page=0",
    "page=1.5",
    "page=x",
    "limit=0",
    "limit=1001",
    "page=1&page=2",
    "creator=me",
    "page=",
  ]) {
    assert.equal((await visitor.get(`/api/movies/?${query}`)).status, 400, query)
  }

  const many = Array.from({ length: 120 }, (_, i) => ({ title: `Saw ${i}`, creator: crypto.randomUUID() }))
  await db.insertInto("movies").values(many).execute()
  assert.equal((await titles("")).length, 100)
  assert.equal((await titles("?limit=1000")).length, 125)
})

test("a page that cannot be is refused with what is wrong", async (t) => {
  const { visitor } = await testApp(t, app)
  for (const [query, detail] of [
    ["page=0", "query/page must be >= 1."],
    ["limit=1001", "query/limit must be <= 1000."],
    ["limit=ten", "query/limit must be integer."],
    ["limit=1&limit=2", "query/limit is given more than once."],
  ]) {
    const { status, body } = await visitor.get(`/api/movies/?${query}`)
    assert.deepEqual([status, body.detail], [400, detail])
  }
})

test("search finds a part of title or director, in any case, and takes % and _ as they are", async (t) => {
  const { as, visitor } = await testApp(t, app)
  const editor = as("editor")
  await editor.post("/api/movies/", gump)
  await editor.post("/api/movies/", { title: "100% Wolf" })
  await as("editor", "other").post("/api/movies/", { title: "snake_case", director: "Back\\slash" })
  const found = async (query: string) =>
    (await visitor.get(`/api/movies/?${query}`)).body.map((movie: { title: string }) => movie.title)

  assert.deepEqual(await found("search=GUMP"), ["Forrest Gump"])
  assert.deepEqual(await found("search=zemeck"), ["Forrest Gump"])
  assert.deepEqual(await found("search=%25"), ["100% Wolf"])
  assert.deepEqual(await found("search=_"), ["snake_case"])
  assert.deepEqual(await found("search=%5C"), ["snake_case"])
  assert.deepEqual(await found("search=nothing"), [])
  const [theirs] = (await visitor.get("/api/movies/?search=snake")).body
  assert.deepEqual(await found(`creator=${theirs.creator}`), ["snake_case"])
})

test("movies stand at /api/movies with and without a slash, for HEAD too", async (t) => {
  const { as, visitor } = await testApp(t, app)
  assert.equal((await as("editor").post("/api/movies", gump)).status, 201)
  assert.equal((await visitor.get("/api/movies")).body.length, 1)
  assert.equal((await visitor.get("/api/movies/")).body.length, 1)
  const head = await visitor.call("HEAD", "/api/movies/")
  assert.equal(head.status, 200)
  assert.equal(head.headers.get("x-total-count"), "1")
  assert.equal(head.body, undefined)
})

test("a method that a path does not take answers 405 with Allow, before anyone logs in", async (t) => {
  const { visitor } = await testApp(t, app)
  const answer = await visitor.put("/api/movies/", gump)
  assert.equal(answer.status, 405)
  assert.equal(answer.headers.get("allow"), "GET, HEAD, POST, OPTIONS")
  const one = await visitor.post(`/api/movies/${crypto.randomUUID()}`, gump)
  assert.equal(one.headers.get("allow"), "GET, HEAD, PUT, PATCH, DELETE, OPTIONS")
  assert.equal((await visitor.get("/api/movie")).status, 404)
})

test("a DELETE may bring a JSON body, or only its Content-Type", async (t) => {
  const { as } = await testApp(t, app)
  const editor = as("editor")
  for (const body of [{ any: "thing" }, ""]) {
    const { id } = (await editor.post("/api/movies/", gump)).body
    assert.equal((await editor.call("DELETE", `/api/movies/${id}`, body)).status, 200)
  }
})
