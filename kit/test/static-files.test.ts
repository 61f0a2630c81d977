// @together
/** Static files: what clients get, and where the API and the application go first. */
import assert from "node:assert/strict"
import { mkdtempSync, realpathSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import type { Routes } from "trestle"
import { testApp } from "trestle/testing"
import { sampleApp } from "./sample/app.ts"
import { html, large, routes, schema, serveSite, site, siteFolder } from "./static-site.ts"

test("files come with their type, and HEAD says the same without the content", async (t) => {
  const { visitor } = await serveSite(t)
  const types: Record<string, string> = {
    "/robots.txt": "text/plain; charset=utf-8",
    "/style.css": "text/css; charset=utf-8",
    "/sub/page.html": "text/html; charset=utf-8",
    "/data.bin": "application/octet-stream",
    "/large.bin": "application/octet-stream",
    "/empty.txt": "text/plain; charset=utf-8",
    "/a%20b&%C3%BC.txt": "text/plain; charset=utf-8",
    "/.well-known/acme-challenge/token": "application/octet-stream",
  }
  for (const [path, type] of Object.entries(types)) {
    const got = await visitor.get(path)
    assert.equal(got.status, 200, path)
    assert.equal(got.headers.get("content-type"), type)
    assert.equal(got.headers.get("cache-control"), "no-cache")
    assert.match(got.headers.get("etag")!, /^"[\w-]+"$/)
    const head = await visitor.call("HEAD", path)
    assert.equal(head.status, 200)
    assert.equal(head.body, undefined)
    for (const name of ["content-type", "content-length", "etag", "last-modified"]) {
      assert.equal(head.headers.get(name), got.headers.get(name), `${path} ${name}`)
    }
  }
  const whole = Buffer.from(await (await fetch(`${(await serveSite(t)).url}/large.bin`)).arrayBuffer())
  assert.deepEqual(whole, large)
})

test("a folder is its index.html, at the path with the slash, so that relative links lead where they should", async (t) => {
  const { visitor } = await serveSite(t)
  assert.equal((await visitor.get("/")).body, site["index.html"])
  assert.equal((await visitor.get("/sub/")).body, site["sub/index.html"])
  const answer = await visitor.get("/sub?a=1")
  assert.equal(answer.status, 301)
  assert.equal(answer.headers.get("location"), "/sub/?a=1")
  assert.equal((await visitor.get("/sub/page.html/")).status, 404)
})

test("an unknown path is 404.html with status 404 to browsers, and a problem to those who want JSON", async (t) => {
  const { visitor } = await serveSite(t)
  for (const path of ["/nothing", "/sub/nothing.html", "/nothing/"]) {
    const page = await visitor.get(path, html)
    assert.equal(page.status, 404)
    assert.equal(page.body, site["404.html"])
    assert.equal(page.headers.get("content-type"), "text/html; charset=utf-8")
    assert.equal(page.headers.get("etag"), null)
  }
  const again = await visitor.get("/nothing", { ...html, "if-none-match": "*", range: "bytes=0-1" })
  assert.deepEqual([again.status, again.body], [404, site["404.html"]])
  const problem = await visitor.get("/nothing", { accept: "application/json" })
  assert.match(problem.headers.get("content-type")!, /^application\/problem\+json/)
  assert.equal(problem.body.status, 404)
})

test("the API gets no page and no file, whatever it is asked for", async (t) => {
  const { visitor } = await serveSite(t, site, { env: { STATIC_FILES_SPA_FALLBACK: "true" } })
  for (const path of ["/api", "/api/", "/api/unknown", "/api/stolen.html", "/%61pi/stolen.html", "/api/sample/x"]) {
    const answer = await visitor.get(path, html)
    assert.equal(answer.status, 404, path)
    assert.match(answer.headers.get("content-type")!, /^application\/problem\+json/, path)
  }
  assert.equal((await visitor.get("/api/sample/known", html)).body.text, "from the API")
  assert.equal((await visitor.get("/api/sample/only-post", html)).status, 405)
  assert.equal((await visitor.post("/api/unknown", {})).status, 404)
})

test("a single-page application gets index.html at every view, and 404 where a file is missing", async (t) => {
  const { visitor } = await serveSite(t, site, { env: { STATIC_FILES_SPA_FALLBACK: "true" } })
  for (const path of ["/movies/17", "/movies/", "/about?tab=2"]) {
    const answer = await visitor.get(path, html)
    assert.deepEqual([answer.status, answer.body], [200, site["index.html"]])
  }
  assert.equal((await visitor.get("/assets/app.js", html)).status, 404)
  assert.equal((await visitor.get("/movies/17", { accept: "application/json" })).status, 404)
})

test("other methods on a file are 405 with Allow, and elsewhere 404 as without files", async (t) => {
  const { visitor } = await serveSite(t)
  for (const method of ["POST", "PUT", "PATCH", "DELETE"]) {
    for (const path of ["/robots.txt", "/", "/sub/"]) {
      const answer = await visitor.call(method, path)
      assert.equal(answer.status, 405, `${method} ${path}`)
      assert.match(answer.headers.get("allow")!, /^GET, HEAD\b/)
    }
    assert.equal((await visitor.call(method, "/nothing", undefined, html)).status, 404)
    assert.equal((await visitor.call(method, "/.env")).status, 404)
  }
})

test("without index.html, / leads to the list of endpoints, and is 404 where that is off", async (t) => {
  const empty = realpathSync(mkdtempSync(join(tmpdir(), "static-")))
  t.after(() => rmSync(empty, { recursive: true, force: true }))
  const folders = [empty, siteFolder(t, { "robots.txt": "" })]
  for (const folder of folders) {
    const app = sampleApp(routes, { folder })
    const on = (await testApp(t, app)).visitor
    for (const method of ["GET", "HEAD"]) {
      const answer = await on.call(method, "/")
      assert.deepEqual([answer.status, answer.headers.get("location")], [302, "/api/list"])
    }
    for (const name of ["DOCS_ENABLED", "DOCS_LIST"]) {
      const off = (await testApp(t, app, { env: { [name]: "false" } })).visitor
      assert.equal((await off.get("/")).status, 404)
    }
  }
})

test("an application's own routes go before files, and its own / before the redirect", async (t) => {
  const pages: Routes = (api) => {
    api.get("/", { role: "visitor", schema }, async () => ({ text: "own home" }))
    api.get("/robots.txt", { role: "visitor", schema }, async () => ({ text: "own robots" }))
  }
  for (const folder of [siteFolder(t), siteFolder(t, {})]) {
    const { visitor } = await testApp(t, sampleApp(routes, { folder, routes: { "/": pages } }))
    assert.equal((await visitor.get("/")).body.text, "own home")
    assert.equal((await visitor.get("/robots.txt")).body.text, "own robots")
  }
})
