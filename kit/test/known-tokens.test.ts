// @together
/** What a process remembers of tokens, without a database: the order of changes and answers is what counts. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { KnownTokens } from "../src/auth/known-tokens.ts"

const entry = (name: string, expires = Date.now() + 60_000) => ({ name, changedBy: [`user ${name}`, "all"], expires })

test("an answer that a change overtook is used once and not remembered", async () => {
  const known = new KnownTokens<ReturnType<typeof entry>>(() => true)
  for (const change of [() => known.changed("user somebody"), () => known.reset(), () => known.forget("other")]) {
    const { promise, resolve } = Promise.withResolvers<ReturnType<typeof entry>>()
    const loading = known.load("token", () => promise)
    change()
    resolve(entry("anna"))
    assert.equal((await loading)?.name, "anna")
    assert.equal(known.get("token"), undefined)
  }
  await known.load("token", async () => entry("anna"))
  assert.equal(known.get("token")?.name, "anna")
})

test("a change makes those forgotten that it concerns", async () => {
  const known = new KnownTokens<ReturnType<typeof entry>>(() => true)
  const remember = () =>
    Promise.all(["anna", "bert"].map((name) => known.load(`token of ${name}`, async () => entry(name))))
  const remembered = () => ["anna", "bert"].filter((name) => known.get(`token of ${name}`))
  await remember()
  known.changed("user anna")
  assert.deepEqual(remembered(), ["bert"])
  await remember()
  known.changed("user nobody")
  assert.deepEqual(remembered(), ["anna", "bert"])
  known.changed("all")
  assert.deepEqual(remembered(), [])
})

test("nothing is used that has expired, or while changes are not heard", async () => {
  let isCurrent = true
  const known = new KnownTokens<ReturnType<typeof entry>>(() => isCurrent)
  await known.load("old", async () => entry("anna", Date.now()))
  await known.load("new", async () => entry("anna"))
  assert.equal(known.get("old"), undefined)
  assert.ok(known.get("new"))
  isCurrent = false
  assert.equal(known.get("new"), undefined)
})

test("only so many are remembered, and who is unknown never is", async () => {
  const known = new KnownTokens<ReturnType<typeof entry>>(() => true)
  for (let i = 0; i <= 10_000; i++) await known.load(`token ${i}`, async () => entry("anna"))
  assert.equal(known.get("token 0"), undefined)
  assert.ok(known.get("token 10000"))
  assert.equal(await known.load("wrong", async () => undefined), undefined)
  assert.equal(known.get("wrong"), undefined)
})
