// @together
/** The calls of a front-end on another origin that was written for RESTPie3: it works unchanged once its origin is allowed. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { testApp } from "trestle/testing"
import app from "../app/app.ts"

const origin = "http://localhost:3000"
const env = {
  CORS_ENABLED: "true",
  CORS_ALLOW_ORIGINS: origin,
  CORS_ALLOW_CREDENTIALS: "true",
  CORS_ALLOW_METHODS: "GET,POST,PUT,DELETE",
  CORS_ALLOW_HEADERS: "Content-Type",
}

test("a page of an allowed origin lists, adds, changes and deletes movies as the user", async (t) => {
  const { visitor, person } = await testApp(t, app, { env })
  const editor = person("editor")
  // What browsers say of themselves: another port is the same site, and another origin.
  const from = { origin, "sec-fetch-site": "same-site" }

  for (const method of ["POST", "PUT", "DELETE"]) {
    const asked = { ...from, "access-control-request-method": method, "access-control-request-headers": "content-type" }
    const { status, headers } = await visitor.call("OPTIONS", "/api/movies/", undefined, asked)
    assert.equal(status, 204)
    assert.equal(headers.get("access-control-allow-origin"), origin)
    assert.equal(headers.get("access-control-allow-credentials"), "true")
    assert.match(headers.get("access-control-allow-methods")!, new RegExp(method))
    assert.match(headers.get("access-control-allow-headers")!, /content-type/i)
  }

  const empty = await editor.get("/api/movies/", from)
  assert.deepEqual([empty.status, empty.body], [200, []])
  assert.equal(empty.headers.get("access-control-allow-origin"), origin)

  const made = await editor.post("/api/movies/", { id: "", title: "Forrest Gump", director: "Robert Zemeckis" }, from)
  assert.equal(made.status, 201)
  const short = await editor.post("/api/movies/", { id: "", title: "Alien" }, from)
  assert.equal(short.status, 201)

  assert.deepEqual((await editor.get(`/api/movies/${made.body.id}`, from)).body, made.body)

  const whole = { ...made.body, title: "Forrest Gump (1994)" }
  const changed = await editor.put(`/api/movies/${made.body.id}`, whole, from)
  assert.deepEqual([changed.status, changed.body.title, changed.body.director], [200, whole.title, "Robert Zemeckis"])
  const without = await editor.put(`/api/movies/${made.body.id}`, { id: made.body.id, title: "Gump" }, from)
  assert.deepEqual([without.status, without.body.title, without.body.director], [200, "Gump", "Robert Zemeckis"])

  assert.equal((await editor.delete(`/api/movies/${short.body.id}`, from)).status, 200)
  const { body: list } = await editor.get("/api/movies/", from)
  assert.deepEqual(list, [without.body])
})

test("a page of another origin is refused where it would change something", async (t) => {
  const { person } = await testApp(t, app, { env })
  const foreign = { origin: "http://localhost:4000", "sec-fetch-site": "same-site" }
  const { status } = await person("editor").post("/api/movies/", { title: "Forrest Gump" }, foreign)
  assert.equal(status, 403)
})
