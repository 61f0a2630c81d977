// @together
/** A route's doc comment is its summary and description. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { type Api, Type } from "trestle"
import { testApp } from "trestle/testing"
import { commentAbove } from "../src/docs/doc-comments.ts"
import { sampleApp } from "./sample/app.ts"

const open = { role: "visitor", schema: { response: { 200: Type.Object({}) } } } as const

test("the comment above a route is its summary, an explicit one wins, and a line between them parts them", async (t) => {
  const app = sampleApp((api) => {
    /** Says hello. Twice, if asked. */
    api.get("/one", open, async () => ({}))

    /**
     * Says hello over
     * two lines.
     *
     * And more.
     */
    api.route({ ...open, method: "POST", url: "/two", handler: async () => ({}) })

    /** Loses. */
    api.get("/three", { ...open, schema: { ...open.schema, summary: "Wins." } }, async () => ({}))

    /** Stands too high. */
    const none = open
    api.get("/four", none, async () => ({}))
  })
  const seen = new Map<string, { summary?: string; description?: string }>()
  const routes = app.routes.sample!
  app.routes.sample = (api: Api) => {
    api.addHook("onRoute", ({ method, url, schema }) => void seen.set(`${method} ${url}`, schema as never))
    return routes(api)
  }
  await testApp(t, app)
  const of = (route: string) => [seen.get(route)?.summary, seen.get(route)?.description]
  assert.deepEqual(of("GET /api/sample/one"), ["Says hello.", "Says hello. Twice, if asked."])
  assert.deepEqual(of("HEAD /api/sample/one"), ["Says hello.", "Says hello. Twice, if asked."])
  assert.deepEqual(of("POST /api/sample/two"), [
    "Says hello over two lines.",
    "Says hello over\ntwo lines.\n\nAnd more.",
  ])
  assert.equal(seen.get("GET /api/sample/three")?.summary, "Wins.")
  assert.deepEqual(of("GET /api/sample/four"), [undefined, undefined])
})

test("only a doc comment counts", () => {
  const above = (...lines: string[]) => commentAbove([...lines, "api.get()"], lines.length + 1)?.summary
  assert.equal(above("/** Yes */"), "Yes")
  assert.equal(above("/* No */"), undefined)
  assert.equal(above("// No"), undefined)
  assert.equal(above("/** */"), undefined)
  assert.equal(above("/** Yes */", ""), undefined)
  assert.equal(above("const a = 1 /** no */"), undefined)
  assert.equal(above("/** Version 1.2 of it. More. */"), "Version 1.2 of it.")
})
