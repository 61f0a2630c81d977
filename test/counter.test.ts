// @together
import assert from "node:assert/strict"
import { test } from "node:test"
import { testApp } from "trestle/testing"
import app from "../app/app.ts"

test("the counter counts every call once, also those that come at the same time", async (t) => {
  const { visitor, kv } = await testApp(t, app)
  const first = await visitor.get("/apitest/counter")
  assert.deepEqual([first.status, first.body], [200, { counter: 1 }])
  const more = await Promise.all(Array.from({ length: 20 }, () => visitor.get("/apitest/counter")))
  const counts = more.map(({ body }) => body.counter).toSorted((a, b) => a - b)
  assert.deepEqual(
    counts,
    Array.from({ length: 20 }, (_, i) => i + 2),
  )
  assert.equal(await kv.get("apitest counter"), 21)
})
