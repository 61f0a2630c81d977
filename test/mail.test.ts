import assert from "node:assert/strict"
import { test } from "node:test"
import { testApp } from "trestle/testing"
import app from "../app/app.ts"

test("a person sends themselves a sample mail, but not in production", async (t) => {
  const { person, as, jobs, mails } = await testApp(t, app)
  const { status, body } = await person("readonly", "Bert").get("/apitest/sendemail")
  assert.deepEqual([status, body], [202, { to: "bert@example.com" }])
  await jobs.run()
  assert.deepEqual(
    mails.map(({ to }) => to),
    ["bert@example.com"],
  )
  assert.equal((await as("editor").get("/apitest/sendemail")).status, 400)

  const production = await testApp(t, app, { mode: "production" })
  assert.equal((await production.person("superuser").get("/apitest/sendemail")).status, 404)
})
