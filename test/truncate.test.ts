// @together
import assert from "node:assert/strict"
import { test } from "node:test"
import { testApp } from "trestle/testing"
import app from "../app/app.ts"

test("the test of a front-end can begin with no movies", async (t) => {
  const { as, visitor } = await testApp(t, app)
  await as("editor").post("/api/movies/", { title: "Forrest Gump" })
  assert.equal((await visitor.post("/apitest/dbtruncate")).status, 200)
  assert.deepEqual((await visitor.get("/api/movies/")).body, [])
})

test("in production nothing of the kind is there", async (t) => {
  const { as, visitor } = await testApp(t, app, { mode: "production" })
  await as("editor").post("/api/movies/", { title: "Forrest Gump" })
  for (const caller of [visitor, as("superuser")]) {
    assert.equal((await caller.post("/apitest/dbtruncate")).status, 404)
  }
  assert.equal((await visitor.get("/api/movies/")).body.length, 1)
  assert.ok(!JSON.stringify((await visitor.get("/api/openapi.json")).body).includes("dbtruncate"))
})
