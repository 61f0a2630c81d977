// @together
/** A forgotten password and a new one, over the API. With sessions in PostgreSQL and in Redis. */
import assert from "node:assert/strict"
import { type TestContext, test } from "node:test"
import { sql } from "trestle"
import { type TestApp, testApp } from "trestle/testing"
import { createAccount } from "../src/auth/accounts.ts"
import { Browser, person } from "./browser.ts"
import { atOnce, expireLinks, pathIn, sentNow, tokenIn } from "./links.ts"
import { noRedis, startRedis } from "./redis.ts"
import { sampleApp } from "./sample/app.ts"
import { SmtpServer } from "./smtp-server.ts"

const app = sampleApp(() => {})
const start = (t: TestContext, env: Record<string, string> = {}) => testApp(t, app, { env })
const password = "Another horse 9"
const wrongLink = /This link does not count/

/** Somebody with an account, logged in. */
async function signedUp({ url }: TestApp, name = "anna"): Promise<Browser> {
  const browser = new Browser(url)
  assert.equal((await browser.post("/api/signup", person(name))).status, 201)
  return browser
}

/** Asks for a link and returns its token. */
async function newLink(made: TestApp, email = person("anna").email): Promise<string> {
  assert.equal((await made.visitor.post("/api/password/forgot", { email })).status, 202)
  const [mail, ...more] = await sentNow(made)
  assert.deepEqual(more, [])
  return tokenIn(mail)
}

const reset = ({ visitor }: TestApp, token: string, to = password) =>
  visitor.post("/api/password/reset", { token, password: to })

const logIn = ({ visitor }: TestApp, to: string, email = person("anna").email) =>
  visitor.post("/api/login", { email, password: to })

test("a link in a mail gives the account another password, once", async (t) => {
  const made = await start(t, { PUBLIC_URL: "https://movies.example" })
  await signedUp(made)
  await made.visitor.post("/api/password/forgot", { email: "ANNA@example.com" }, { host: "evil.example" })
  const [mail] = await sentNow(made)
  assert.equal(mail!.to, "anna@example.com", "to the address of the account, as that was written")
  assert.match(mail!.text, /^Hello,\n[\s\S]* https:\/\/movies\.example\/auth\/reset\?token=[\w-]{43}\n/)
  assert.doesNotMatch(mail!.text + mail!.html, /evil/)
  assert.doesNotMatch(
    mail!.text + mail!.html,
    /Anna\b/,
    "a name that somebody gave is in no mail to an address that may be anybody's",
  )
  const token = tokenIn(mail)
  const done = await reset(made, token)
  assert.deepEqual([done.status, done.body], [200, {}])
  assert.deepEqual(done.headers.getSetCookie(), [], "nobody is logged in by it")
  assert.equal((await logIn(made, person("anna").password)).status, 400)
  assert.equal((await logIn(made, password)).status, 200)
  const again = await reset(made, token, "A third horse 11")
  assert.equal(again.status, 400)
  assert.match(again.body.detail, wrongLink)
  assert.equal((await logIn(made, password)).status, 200)
})

test("forgot answers the same bytes, and does the same, whether the address has an account or not", async (t) => {
  const made = await start(t)
  const { visitor, jobs, mails, db } = made
  await signedUp(made)
  await made.person("editor", "off").get("/api/me")
  await sql`update trestle.users set disabled = true where email = 'off@example.com'`.execute(db)
  const answers = []
  for (const email of ["anna@example.com", "nobody@example.com", "off@example.com"]) {
    const { status, headers, body } = await visitor.post("/api/password/forgot", { email })
    const shown = Object.fromEntries([...headers].filter(([name]) => !["date", "x-request-id"].includes(name)))
    answers.push(JSON.stringify({ status, shown, body }))
  }
  assert.equal(new Set(answers).size, 1, answers.join("\n"))
  assert.match(answers[0]!, /"status":202/)
  const sent = await jobs.sent()
  assert.deepEqual(
    sent.map(({ data }) => data),
    ["anna", "nobody", "off"].map((name) => ({ email: `${name}@example.com`, purpose: "reset" })),
    "the jobs are told the same too",
  )
  const ran = await jobs.run()
  assert.ok(ran.every(({ error }) => error === undefined))
  assert.deepEqual(
    mails.map(({ to }) => to),
    ["anna@example.com"],
  )
  assert.equal((await visitor.post("/api/password/forgot", { email: "no address" })).status, 400)
  assert.equal((await visitor.post("/api/password/forgot", { email: '"a\r\nb"@c.example' })).status, 400)
})

for (const store of ["PostgreSQL", "Redis"]) {
  test(`a new password ends all sessions, those in ${store} too`, {
    skip: store === "Redis" && noRedis,
  }, async (t) => {
    const env: Record<string, string> = store === "Redis" ? { REDIS_URL: (await startRedis(t)).url } : {}
    const made = await start(t, env)
    const anna = await signedUp(made)
    const { body } = await made.visitor.post("/api/login", { ...pick(person("anna")), token: true })
    const bearer = { authorization: `Bearer ${body.token}` }
    const bert = await signedUp(made, "bert")
    const me = async () => [(await anna.get("/api/me")).status, (await made.visitor.get("/api/me", bearer)).status]
    assert.deepEqual(await me(), [200, 200])
    assert.equal((await reset(made, await newLink(made))).status, 200)
    assert.deepEqual(await me(), [401, 401])
    assert.equal((await bert.get("/api/me")).status, 200)
    const { rows } = await sql`select 1 from trestle.sessions join trestle.users on user_id = users.id
      where email = 'anna@example.com'`.execute(made.db)
    assert.equal(rows.length, 0)
  })
}

const pick = ({ email, password }: ReturnType<typeof person>) => ({ email, password })

test("only the newest link of an account counts, for an hour", async (t) => {
  const made = await start(t)
  await signedUp(made)
  const first = await newLink(made)
  const second = await newLink(made)
  assert.match((await reset(made, first)).body.detail, wrongLink)
  await expireLinks(made)
  assert.match((await reset(made, second)).body.detail, wrongLink)
  assert.equal((await reset(made, await newLink(made))).status, 200)
})

test("a link counts until the mail with a newer one has gone", async (t) => {
  const smtp = new SmtpServer()
  await smtp.listen(t)
  const made = await start(t, smtp.settings())
  await signedUp(made)
  const token = await newLink(made)
  await smtp.close()
  await made.visitor.post("/api/password/forgot", { email: "anna@example.com" })
  const [ran] = await made.jobs.run()
  assert.match(String(ran!.error), /ECONNREFUSED/)
  assert.equal((await reset(made, token)).status, 200)
})

test("what is no link of this kind is refused, in words that tell nothing", async (t) => {
  const made = await start(t)
  const anna = await signedUp(made)
  await anna.post("/api/me/email/verify")
  const [verifying] = await sentNow(made)
  const token = await newLink(made)
  const wrong = [tokenIn(verifying), "", "x", token.slice(1), `${token}x`, token.toLowerCase(), "ü".repeat(50)]
  for (const one of wrong) {
    const { status, body } = await reset(made, one)
    assert.deepEqual([status, body.detail], [400, (await reset(made, "x")).body.detail], JSON.stringify(one))
  }
  assert.equal((await reset(made, "x".repeat(201))).status, 400)
  assert.equal((await reset(made, token)).status, 200)
})

test("of two who come with one link at once, one chooses the password", async (t) => {
  const made = await start(t)
  await signedUp(made)
  const token = await newLink(made)
  const tries = ["a", "b", "c", "d"].map((letter) => `Racing horse ${letter} 7`)
  const answers = await atOnce(made, tries.length, (i) => reset(made, token, tries[i]!))
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 400, 400, 400])
  const winners = tries.filter((_, i) => answers[i]!.status === 200)
  const letIn = []
  for (const to of tries) if ((await logIn(made, to)).status === 200) letIn.push(to)
  assert.deepEqual(letIn, winners)
})

test("a password that the rules forbid is refused, and the link still counts", async (t) => {
  const made = await start(t)
  await signedUp(made)
  const token = await newLink(made)
  for (const weak of ["short", "password12", "annamiller1", "x".repeat(129)]) {
    const { status, body } = await reset(made, token, weak)
    assert.equal(status, 400, weak)
    assert.match(body.errors[0].at, /^body\/password$/)
  }
  assert.equal((await reset(made, token)).status, 200)
})

test("a link opens nothing once the account is disabled or has another address, and not after a change of password", async (t) => {
  const made = await start(t)
  const { db } = made
  const anna = await signedUp(made)
  const change = (what: ReturnType<typeof sql>) => sql`update trestle.users set ${what}`.execute(db)
  let token = await newLink(made)
  await change(sql`disabled = true`)
  assert.match((await reset(made, token)).body.detail, wrongLink)
  await change(sql`disabled = false`)
  await change(sql`email = 'other@example.com'`)
  assert.match((await reset(made, token)).body.detail, wrongLink)
  await change(sql`email = 'anna@example.com'`)
  token = await newLink(made)
  const { password: current_password } = person("anna")
  assert.equal((await anna.post("/api/me/password", { current_password, new_password: password })).status, 200)
  assert.match((await reset(made, token, "A third horse 11")).body.detail, wrongLink)

  token = await newLink(made)
  assert.equal((await anna.delete("/api/me", { password })).status, 200)
  assert.match((await reset(made, token)).body.detail, wrongLink)
})

test("the link shows that the address is its owner's, and an account without a password gets one", async (t) => {
  const made = await start(t)
  const names = { first_name: "Anna", last_name: "Miller" }
  await createAccount(made.db, { email: "anna@example.com", password: null, role: "editor", ...names })
  assert.equal((await reset(made, await newLink(made))).status, 200)
  const { rows } = await sql<{ verified: string }>`select verified from trestle.users`.execute(made.db)
  assert.ok(rows[0]!.verified)
  assert.equal((await logIn(made, password)).status, 200)
})

test("who tried the old password too often gets in with the new one", async (t) => {
  const made = await start(t)
  await signedUp(made)
  for (let i = 0; i < 11; i++) await logIn(made, `Wrong ${i}`)
  assert.equal((await logIn(made, person("anna").password)).status, 429)
  assert.equal((await reset(made, await newLink(made))).status, 200)
  assert.equal((await logIn(made, password)).status, 200)
})

test("nobody fills a mailbox, or many, by asking", async (t) => {
  const made = await start(t, { TRUSTED_PROXIES: "127.0.0.1" })
  const { visitor } = made
  await signedUp(made)
  const ask = async (email: string, from: string) =>
    (await visitor.post("/api/password/forgot", { email }, { "x-forwarded-for": from })).status
  const many = []
  for (let i = 0; i < 8; i++) many.push(await ask(i % 2 ? "Anna@example.com" : "anna@EXAMPLE.com", `198.51.100.${i}`))
  assert.deepEqual(many, [202, 202, 202, 202, 202, 429, 429, 429], "whoever asks")
  const unknown = []
  for (let i = 0; i < 6; i++) unknown.push(await ask("nobody@example.com", "198.51.100.9"))
  assert.deepEqual(unknown, [202, 202, 202, 202, 202, 429], "known or not")
  const wide = []
  for (let i = 0; i < 51; i++) wide.push(await ask(`p${i}@example.com`, "203.0.113.1"))
  assert.deepEqual(wide, [...Array(50).fill(202), 429])
  const { body, headers } = await visitor.post("/api/password/forgot", { email: "anna@example.com" })
  assert.match(body.detail, /^Too many mails were asked for\. Try again in (59 minutes|60 minutes)\.$/)
  assert.ok(Number(headers.get("retry-after")) > 3000)
  // The last of them works.
  const mails = await sentNow(made)
  const annas = mails.filter(({ to }) => to === "anna@example.com")
  assert.equal(annas.length, 5)
  const statuses = []
  for (const mail of annas) statuses.push((await reset(made, tokenIn(mail))).status)
  assert.equal(statuses.filter((status) => status === 200).length, 1)
  // What strangers asked for leaves what the owner may ask for.
  const anna = new Browser(made.url)
  await anna.post("/api/login", { email: "anna@example.com", password })
  await sql`update trestle.users set verified = null`.execute(made.db)
  assert.equal((await anna.post("/api/me/email/verify")).status, 202)
})

test("a job that is run again sends a link that counts, and the one that it sent before counts too", async (t) => {
  const made = await start(t)
  const { visitor, jobs, mails, db } = made
  await signedUp(made)
  await visitor.post("/api/password/forgot", { email: "anna@example.com" })
  await jobs.run()
  // As if its process had been killed before it could say that it is done.
  await sql`update trestle_jobs.job set state = 'retry', completed_on = null`.execute(db)
  await jobs.run({ early: true })
  assert.equal(mails.length, 2)
  assert.equal(mails[0]!.id, mails[1]!.id, "the same mail to mail servers, of which the first may be all that is shown")
  const [first, second] = mails.map(tokenIn)
  assert.notEqual(first, second)
  assert.equal((await reset(made, first!)).status, 200)
  assert.match((await reset(made, second!)).body.detail, wrongLink)
  assert.match(pathIn(mails[0]), /^\/auth\/reset\?token=/)
})
