// @together
import assert from "node:assert/strict"
import { test } from "node:test"
import { testApp } from "trestle/testing"
import app from "../app/app.ts"

test("the example page shows the newest movies, and their titles are text", async (t) => {
  const { as, visitor } = await testApp(t, app)
  assert.match((await visitor.get("/example")).body, /None yet/)

  for (let i = 1; i <= 11; i++) await as("editor").post("/api/movies/", { title: `Rocky ${i}` })
  await as("editor").post("/api/movies/", { title: "<script>alert(1)</script>", director: `"O'Hara" & Sons` })
  const { status, headers, body } = await visitor.get("/example")
  assert.equal(status, 200)
  assert.equal(headers.get("content-type"), "text/html; charset=utf-8")
  assert.equal(body.match(/<li>/g).length, 10)
  assert.ok(body.indexOf("&lt;script&gt;alert(1)&lt;/script&gt;") < body.indexOf("Rocky 11"))
  assert.ok(body.includes("&quot;O&#39;Hara&quot; &amp; Sons"))
  assert.ok(!body.includes("<script>"))
  assert.doesNotMatch(body, /Rocky 2</)
})

test("the example page has its look from a file of this server", async (t) => {
  const { visitor } = await testApp(t, app)
  const [, path] = /<link rel="stylesheet" href="([^"]+)">/.exec((await visitor.get("/example")).body)!
  const style = await visitor.get(path!)
  assert.equal(style.status, 200)
  assert.equal(style.headers.get("content-type"), "text/css; charset=utf-8")
})
