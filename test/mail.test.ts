import assert from "node:assert/strict"
import { test } from "node:test"
import { testApp } from "trestle/testing"
import app from "../app/app.ts"

const anna = { email: "anna@example.com", password: "Correct horse 7", fname: "Anna", lname: "Miller" }

test("who signs up gets a mail", async (t) => {
  const { visitor, jobs, mails } = await testApp(t, app)
  assert.equal((await visitor.post("/api/signup", anna)).status, 201)
  await jobs.run()
  assert.equal(mails.length, 1)
  const [{ to, subject, text, html = "" } = {}] = mails
  assert.deepEqual([to, subject], ["anna@example.com", "Welcome to the movies"])
  assert.match(
    text!,
    /^Hello,[\s\S]*: anna@example\.com has an account now\.[\s\S]*http:\/\/localhost:8100\/api\/list\n$/,
  )
  assert.match(html, /<a href="http:\/\/localhost:8100\/api\/list">/)
})

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
