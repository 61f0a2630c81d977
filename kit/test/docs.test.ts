// @together
/** The pages of the documentation: what they are, who gets them, and that nothing comes from elsewhere. */
import assert from "node:assert/strict"
import { hash } from "node:crypto"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { type Routes, Type } from "trestle"
import { testApp } from "trestle/testing"
import { redoc, redocLogo, swagger } from "../src/docs/viewers.ts"
import { Item, ItemInput, sampleApp } from "./sample/app.ts"

const canary = "<script>alert('canary')</script>"

const routes: Routes = (api) => {
  /** Lists items <script>alert('canary')</script>. Then more <script>alert('canary')</script>. */
  api.get(
    "/",
    {
      role: "visitor",
      schema: {
        querystring: Type.Object({ search: Type.Optional(Type.String({ description: canary, pattern: canary })) }),
        response: { 200: Type.Array(Item, { description: canary }) },
      },
    },
    async () => [],
  )

  /** Adds an item. */
  api.post("/", { role: "editor", schema: { body: ItemInput, response: { 201: Item } } }, async (_request, reply) =>
    reply.code(201).send(undefined as never),
  )

  api.get(
    "/explicit",
    { role: "superuser", schema: { summary: canary, description: `See ${canary}`, response: { 200: Item } } },
    async () => undefined as never,
  )
}

const app = sampleApp(routes)
const pages = ["/api/openapi.json", "/api/docs", "/api/redoc", "/api/list"]

test("everyone gets the documentation, in production too, with or without a slash behind it", async (t) => {
  for (const mode of ["test", "production"] as const) {
    const { visitor } = await testApp(t, app, { mode })
    for (const path of pages) {
      const answer = await visitor.get(path)
      assert.equal(answer.status, 200, path)
      assert.deepEqual((await visitor.get(`${path}/`)).body, answer.body)
      assert.equal((await visitor.call("HEAD", path)).status, 200)
      if (path !== "/api/openapi.json") assert.equal(answer.headers.get("content-type"), "text/html; charset=utf-8")
    }
  }
})

test("each page can be switched off, and all of them, in production and elsewhere", async (t) => {
  const found = async (mode: "test" | "production", env: Record<string, string>) => {
    const { visitor } = await testApp(t, app, { mode, env })
    const files = [...pages, "/api/docs/start.js", "/api/redoc/start.js"]
    const answers = await Promise.all(files.map((path) => visitor.get(path)))
    return answers.map(({ status }) => status)
  }
  for (const mode of ["test", "production"] as const) {
    assert.deepEqual(await found(mode, {}), [200, 200, 200, 200, 200, 200])
    assert.deepEqual(await found(mode, { DOCS_ENABLED: "false" }), [404, 404, 404, 404, 404, 404])
    assert.deepEqual(await found(mode, { DOCS_SWAGGER: "false" }), [200, 404, 200, 200, 404, 200])
    assert.deepEqual(await found(mode, { DOCS_REDOC: "false" }), [200, 200, 404, 200, 200, 404])
    assert.deepEqual(await found(mode, { DOCS_LIST: "false" }), [200, 200, 200, 404, 200, 200])
    // The other two have nothing to show without it.
    assert.deepEqual(await found(mode, { DOCS_OPENAPI: "false" }), [404, 404, 404, 200, 404, 404])
  }
})

test("the list names every endpoint with its comment, role, fields, replies and module, without JavaScript", async (t) => {
  const { visitor } = await testApp(t, app, { mode: "production" })
  const { body } = await visitor.get("/api/list")
  const count = body.match(/<details /g).length
  for (const part of [
    `${count} endpoints in 3 modules`,
    "<span>production</span>",
    /started <time datetime="\d{4}-[^"]+Z">(just now|\d+ seconds? ago)/,
    "<h2>sample <small>3</small></h2>",
    /<h2>accounts <small>\d+<\/small>/,
    "<h2>server <small>4</small></h2>",
    /<b class="post">POST<\/b> <code>\/api<wbr>\/sample<\/code> <i>editor<\/i> <span>Adds an item\.<\/span>/,
    /<code>name<\/code> <em>required<\/em><\/th><td>body<\/td><td>string<\/td><td><small>1 to 100 characters</,
    /<code>note<\/code><\/th><td>body<\/td>/,
    "<dt>201</dt><dd><code>{ id, created, owner, name, note? }</code></dd>",
    "Needs the role editor or a higher one. In the module sample.",
    "Needs the role superuser.",
    /<a href="\/api\/docs">.*<a href="\/api\/redoc">.*<a href="\/api\/openapi.json">/,
  ]) {
    assert.match(body, typeof part === "string" ? new RegExp(part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")) : part)
  }
  assert.doesNotMatch(body, /<code>owner<\/code>/, "a field that the server sets cannot be sent")
  const other = await (await testApp(t, app)).visitor.get("/api/list")
  assert.match(other.body, /<span>test</)
})

test("the list points only at pages that are there", async (t) => {
  const listOf = async (env: Record<string, string>) =>
    (await (await testApp(t, app, { env })).visitor.get("/api/list")).body
  assert.doesNotMatch(await listOf({ DOCS_REDOC: "false" }), /\/api\/redoc/)
  assert.doesNotMatch(await listOf({ DOCS_OPENAPI: "false" }), /\/api\/(docs|redoc|openapi)/)
})

test("a script in a comment, a summary or a description is text on every page", async (t) => {
  const { visitor } = await testApp(t, app)
  const { body } = await visitor.get("/api/list")
  assert.ok(body.includes("&lt;script&gt;alert(&#39;canary&#39;)"))
  assert.ok(!body.includes(canary))

  const document = (await visitor.get("/api/openapi.json")).body
  const { get } = document.paths["/api/sample"]
  for (const text of [get.description, get.parameters[0].description, get.responses[200].description]) {
    assert.ok(text.includes("\\<script>"), text)
  }
  assert.ok(document.paths["/api/sample/explicit"].get.description.includes("\\<script>"))
})

test("each page carries a policy that lets nothing in from elsewhere and no script that is not its own", async (t) => {
  const { visitor } = await testApp(t, app)
  for (const path of pages.slice(1)) {
    const { headers, body } = await visitor.get(path)
    const policy = headers.get("content-security-policy")!
    assert.match(policy, /^default-src 'none'; /)
    assert.match(policy, /base-uri 'none'; form-action 'none'; frame-ancestors 'none'$/)
    assert.doesNotMatch(policy, /unsafe-eval|https?:|\*/)
    assert.doesNotMatch(/script-src[^;]*/.exec(policy)![0], /unsafe|data:|blob:/)
    assert.equal(policy.includes("'unsafe-inline'"), path === "/api/redoc")
    assert.equal(headers.get("x-content-type-options"), "nosniff")
    assert.doesNotMatch(body.replace(/<style>.*<\/style>|<script>.*<\/script>/gs, ""), /(src|href)="(https?:)?\/\//)
  }
  const other = (await visitor.get("/api/health")).headers.get("content-security-policy")
  assert.ok(!other?.includes("unsafe-inline"))
})

test("a browser that has a file or the document gets 304, and one that takes gzip gets gzip", async (t) => {
  const { url } = await testApp(t, app)
  for (const path of ["/api/openapi.json", "/api/docs/swagger-ui.css", "/api/redoc/redoc.standalone.js"]) {
    const ask = (headers: Record<string, string>) => fetch(url + path, { headers })
    const zipped = await ask({ "accept-encoding": "gzip" })
    const plain = await ask({ "accept-encoding": "gzip;q=0" })
    assert.equal(zipped.headers.get("content-encoding"), "gzip")
    assert.equal(plain.headers.get("content-encoding"), null)
    assert.equal(await zipped.text(), await plain.text())
    assert.equal(plain.headers.get("vary"), "accept-encoding")
    const etag = plain.headers.get("etag")!
    assert.notEqual(etag, zipped.headers.get("etag"))
    assert.equal((await ask({ "accept-encoding": "identity", "if-none-match": `"x", W/${etag}` })).status, 304)
    assert.equal((await ask({ "accept-encoding": "identity", "if-none-match": '"x"' })).status, 200)
  }
})

test("the list is small, and made once", async (t) => {
  const { visitor } = await testApp(t, app)
  const first = (await visitor.get("/api/list")).body
  assert.ok(first.length < 40_000, `${first.length} characters`)
  const start = performance.now()
  for (let i = 0; i < 50; i++) await visitor.get("/api/list")
  assert.ok((performance.now() - start) / 50 < 20)
})

test("ReDoc's script is the one that docs/decisions/0005 names, and what we change in it is there once", async () => {
  const script = readFileSync(join(import.meta.dirname, "../assets/redoc/redoc.standalone.js"))
  const pinned = "dcaf76612bc4a3fbcc923a8966dee2f6146a5f32e5ce1b6f02dd60cbbf89500b"
  assert.equal(hash("sha256", script), pinned)
  assert.equal(script.toString().split(redocLogo).length, 2)
  const decision = readFileSync(join(import.meta.dirname, "../../docs/decisions/0005-redoc.md"), "utf8")
  assert.ok(decision.includes(pinned))
})

test("every file of Swagger UI and ReDoc is where it is looked for", async () => {
  for (const viewer of [swagger, redoc]) {
    for (const [name, make] of Object.entries(viewer.files)) assert.ok((await make()).plain.length > 20, name)
  }
})
