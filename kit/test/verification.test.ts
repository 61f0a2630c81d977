// @together
/** Verified addresses, and changes of address: what `accounts.verify_email` does, over the API. */
import assert from "node:assert/strict"
import { type TestContext, test } from "node:test"
import { mailTemplate, sql, Type } from "trestle"
import { type TestApp, testApp } from "trestle/testing"
import { createAccount } from "../src/auth/accounts.ts"
import { createPasswords } from "../src/auth/passwords.ts"
import { Browser, person } from "./browser.ts"
import { atOnce, expireLinks, pathIn, sentNow, tokenIn } from "./links.ts"
import { sampleApp } from "./sample/app.ts"

const app = sampleApp(() => {})
const start = (t: TestContext, verify: string, env: Record<string, string> = {}) =>
  testApp(t, app, { env: { ACCOUNTS_VERIFY_EMAIL: verify, ...env } })

const anna = person("anna")
const { email, password } = anna
const wrongLink = /This link does not count/

const verify = ({ visitor }: TestApp, token: string) => visitor.post("/api/email/verify", { token })
const logIn = ({ visitor }: TestApp, email: string) => visitor.post("/api/login", { email, password })

async function signedUp({ url }: TestApp, who = anna): Promise<Browser> {
  const browser = new Browser(url)
  assert.equal((await browser.post("/api/signup", who)).status, 201)
  return browser
}

async function isVerified({ db }: TestApp, address = email): Promise<boolean> {
  const { rows } = await sql<{ verified: string | null }>`
    select verified from trestle.users where email = ${address}`.execute(db)
  return rows[0]!.verified !== null
}

test("off, a signup sends nothing, and an address can be verified all the same", async (t) => {
  const made = await start(t, "off")
  const browser = await signedUp(made)
  assert.deepEqual(await sentNow(made), [])
  assert.equal("email_verified" in (await browser.get("/api/me")).body.me, false)
  assert.equal((await browser.post("/api/me/email/verify")).status, 202)
  const [mail] = await sentNow(made)
  assert.match(pathIn(mail), /^\/auth\/verify\?token=[\w-]{43}$/)
  assert.equal((await verify(made, tokenIn(mail))).status, 200)
  assert.equal(await isVerified(made), true)
})

test("optional, a signup logs in and sends a link, which verifies the address once", async (t) => {
  const made = await start(t, "optional")
  const browser = await signedUp(made)
  const mine = async () => (await browser.get("/api/me")).body.me.email_verified
  assert.equal(await mine(), false)
  const [mail, ...more] = await sentNow(made)
  assert.deepEqual(more, [])
  assert.equal(mail!.to, email)
  const { status, body, headers } = await verify(made, tokenIn(mail))
  assert.deepEqual([status, body, headers.getSetCookie()], [200, {}, []])
  assert.equal(await mine(), true)
  assert.match((await verify(made, tokenIn(mail))).body.detail, wrongLink)
  const again = await browser.post("/api/me/email/verify")
  assert.equal(again.status, 400)
  assert.match(again.body.detail, /is verified already/)
})

test("required, nobody is let in before the address is verified, and only who knows the password is told", async (t) => {
  const made = await start(t, "required")
  const browser = new Browser(made.url)
  const signup = await browser.post("/api/signup", anna)
  assert.equal(signup.status, 202)
  assert.match(signup.body.message, /^The account is made\. Open the link in the mail that we sent, then log in\.$/)
  assert.equal(browser.cookies.size, 0)
  const [first] = await sentNow(made)

  const refused = await logIn(made, email)
  assert.equal(refused.status, 403)
  assert.match(refused.body.detail, /Your e-mail address is not verified yet\. Open the link in the mail/)
  assert.deepEqual(refused.headers.getSetCookie(), [])
  const bearer = await made.visitor.post("/api/login", { email, password, token: true })
  assert.deepEqual([bearer.status, bearer.body.token], [403, undefined])
  const wrong = await made.visitor.post("/api/login", { email, password: "Wrong horse 7" })
  const nobody = await made.visitor.post("/api/login", { email: "nobody@example.com", password })
  assert.deepEqual([wrong.status, wrong.body.detail], [400, nobody.body.detail])

  const mails = await sentNow(made)
  assert.equal(mails.length, 2, "each of these logins sent another link")
  assert.match((await verify(made, tokenIn(first))).body.detail, wrongLink, "the newest one counts")
  const statuses = []
  for (const mail of mails) statuses.push((await verify(made, tokenIn(mail))).status)
  assert.deepEqual(statuses.sort(), [200, 400])
  assert.equal((await logIn(made, email)).status, 200)
  assert.equal((await made.visitor.post("/api/signup", anna)).status, 400, "the address is taken")
})

test("required, logging in again and again fills no mailbox, and is answered as before", async (t) => {
  const made = await start(t, "required")
  await made.visitor.post("/api/signup", anna)
  for (let i = 0; i < 8; i++) assert.equal((await logIn(made, email)).status, 403)
  assert.equal((await sentNow(made)).length, 1 + 5)
})

test("required, whoever follows a link to a new password is verified too", async (t) => {
  const made = await start(t, "required")
  await made.visitor.post("/api/signup", anna)
  await sentNow(made)
  await made.visitor.post("/api/password/forgot", { email })
  const [mail] = await sentNow(made)
  const fresh = "Another horse 9"
  assert.equal((await made.visitor.post("/api/password/reset", { token: tokenIn(mail), password: fresh })).status, 200)
  assert.equal((await made.visitor.post("/api/login", { email, password: fresh })).status, 200)
})

test("required and not revealing, a signup says the same of a free and of a taken address, which is told by mail", async (t) => {
  for (const mode of ["off", "required"]) {
    const made = await start(t, mode, { ACCOUNTS_REVEAL_TAKEN_EMAIL: "false" })
    const answers = []
    for (let i = 0; i < 2; i++) {
      const { status, body } = await made.visitor.post("/api/signup", anna)
      answers.push([status, body.message])
      const mails = await sentNow(made)
      const subjects = mails.map(({ to, subject }) => `${to}: ${subject}`)
      const first = mode === "required" ? [`${email}: Verify your e-mail address`] : []
      assert.deepEqual(subjects, i === 0 ? first : [`${email}: You have an account already`])
    }
    assert.deepEqual(answers[0], answers[1])
    assert.equal(answers[0]![0], 202)
  }
})

test("a change of address waits for the link to the new one, and the old one is told of it", async (t) => {
  const made = await start(t, "optional")
  const browser = await signedUp(made)
  await sentNow(made)
  const wish = { email: "Anna.New@example.com", password }
  assert.equal((await browser.post("/api/me/email", { ...wish, password: "Wrong horse 7" })).status, 400)
  assert.equal((await made.visitor.post("/api/me/email", wish)).status, 401)
  assert.equal((await made.as("editor").post("/api/me/email", wish)).status, 403)
  assert.equal((await browser.post("/api/me/email", { ...wish, email: "ANNA@example.com" })).status, 400)
  assert.deepEqual(await sentNow(made), [])

  assert.equal((await browser.post("/api/me/email", wish)).status, 202)
  const mails = await sentNow(made)
  const note = mails.find(({ to }) => to === email)!
  const link = mails.find(({ to }) => to === "Anna.New@example.com")!
  assert.equal(mails.length, 2)
  assert.match(note.text, /have the e-mail address Anna\.New@example\.com[\s\S]*\/auth\/forgot/)
  assert.doesNotMatch(note.text, /token/)
  assert.equal((await browser.get("/api/me")).body.me.email, email, "nothing has changed yet")

  assert.equal((await verify(made, tokenIn(link))).status, 200)
  const { me } = (await browser.get("/api/me")).body
  assert.deepEqual([me.email, me.email_verified], ["Anna.New@example.com", true])
  assert.equal((await logIn(made, email)).status, 400)
  assert.equal((await logIn(made, "anna.new@example.com")).status, 200)
  assert.match((await verify(made, tokenIn(link))).body.detail, wrongLink)
})

test("that an address is taken is told to that address, and to nobody else", async (t) => {
  const made = await start(t, "off")
  const browser = await signedUp(made)
  await signedUp(made, person("bert"))
  const answers = []
  const sent = []
  for (const email of ["bert@example.com", "free@example.com"]) {
    const { status, body } = await browser.post("/api/me/email", { email, password })
    answers.push([status, body.message])
    sent.push((await sentNow(made)).find(({ to }) => to === email)!)
  }
  assert.deepEqual(answers[0], answers[1])
  assert.equal(sent[0]!.subject, "You have an account already")
  assert.match(sent[0]!.text, /^Hello,/)
  assert.doesNotMatch(sent[0]!.text, /token/)
  assert.equal(sent[1]!.subject, "Verify your new e-mail address")
})

test("an address that got an account after the link was sent stays with that account", async (t) => {
  const made = await start(t, "off")
  const browser = await signedUp(made)
  await browser.post("/api/me/email", { email: "bert@example.com", password })
  const link = (await sentNow(made)).find(({ to }) => to === "bert@example.com")
  await signedUp(made, person("bert"))
  const { status, body } = await verify(made, tokenIn(link))
  assert.equal(status, 400)
  assert.match(body.detail, /has an account already/)
  assert.equal((await browser.get("/api/me")).body.me.email, email)
})

test("only the last wish for another address counts, and a new password ends it", async (t) => {
  const made = await start(t, "off")
  const browser = await signedUp(made)
  const wish = async (address: string, secret = password) => {
    assert.equal((await browser.post("/api/me/email", { email: address, password: secret })).status, 202)
    return tokenIn((await sentNow(made)).find(({ to }) => to === address))
  }
  const first = await wish("first@example.com")
  const second = await wish("second@example.com")
  assert.match((await verify(made, first)).body.detail, wrongLink)
  const fresh = "Another horse 9"
  await browser.post("/api/me/password", { current_password: password, new_password: fresh })
  assert.match((await verify(made, second)).body.detail, wrongLink)
})

test("a wish that a new password ended stays ended, however late its job is", async (t) => {
  const made = await start(t, "off")
  const browser = await signedUp(made)
  const [second, third] = ["Another horse 9", "A third horse 11"]
  /** Asks for another address, whose mail does not go yet. */
  const wish = async (secret: string) => {
    assert.equal((await browser.post("/api/me/email", { email: "new@example.com", password: secret })).status, 202)
    await sql`
      update trestle_jobs.job set start_after = now() + interval '1 day'
      where data->>'purpose' = 'change'`.execute(made.db)
  }
  await wish(password)
  const change = { current_password: password, new_password: second }
  assert.equal((await browser.post("/api/me/password", change)).status, 200)
  await made.jobs.run({ early: true })

  await wish(second)
  await made.visitor.post("/api/password/forgot", { email })
  const mails = await sentNow(made)
  const token = tokenIn(mails.find(({ subject }) => subject === "Choose a new password"))
  assert.equal((await made.visitor.post("/api/password/reset", { token, password: third })).status, 200)
  await made.jobs.run({ early: true })
  assert.deepEqual(
    made.mails.filter(({ to }) => to === "new@example.com"),
    [],
  )
})

test("a link opens nothing after an hour, for a disabled account, or after another change", async (t) => {
  const made = await start(t, "off")
  const browser = await signedUp(made)
  const wish = async (address: string) => {
    await browser.post("/api/me/email", { email: address, password })
    return tokenIn((await sentNow(made)).find(({ to }) => to === address))
  }
  let token = await wish("first@example.com")
  await expireLinks(made)
  assert.match((await verify(made, token)).body.detail, wrongLink)
  token = await wish("first@example.com")
  await sql`update trestle.users set disabled = true`.execute(made.db)
  assert.match((await verify(made, token)).body.detail, wrongLink)
  await sql`update trestle.users set disabled = false`.execute(made.db)

  // A link to the former address opens nothing once there is another one.
  await made.visitor.post("/api/password/forgot", { email })
  const [forgotten] = await sentNow(made)
  assert.equal((await verify(made, token)).status, 200)
  const reset = { token: tokenIn(forgotten), password: "Another horse 9" }
  assert.match((await made.visitor.post("/api/password/reset", reset)).body.detail, wrongLink)
  for (const wrong of ["", "x", reset.token]) assert.match((await verify(made, wrong)).body.detail, wrongLink)
})

test("of two who come with one link at once, one changes the address", async (t) => {
  const made = await start(t, "off")
  const browser = await signedUp(made)
  await browser.post("/api/me/email", { email: "new@example.com", password })
  const token = tokenIn((await sentNow(made)).find(({ to }) => to === "new@example.com"))
  const answers = await atOnce(made, 4, () => verify(made, token))
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 400, 400, 400])
})

test("the owner of a change is asked for the password, or for a login of just now", async (t) => {
  const made = await start(t, "off")
  const names = { first_name: "Anna", last_name: "Miller", role: "editor" }
  await createAccount(made.db, { email, password: null, ...names })
  const passwords = createPasswords()
  t.after(() => passwords.close())
  const hash = await passwords.hash(password)
  await sql`update trestle.users set password = ${hash}`.execute(made.db)
  const browser = new Browser(made.url)
  await browser.post("/api/login", { email, password })
  await sql`update trestle.users set password = null`.execute(made.db)
  assert.equal((await browser.post("/api/me/email", { email: "new@example.com" })).status, 202)
  await sql`update trestle.sessions set authenticated = now() - interval '11 minutes'`.execute(made.db)
  await sql`select pg_notify('trestle_changes', 'user ' || id) from trestle.users`.execute(made.db)
  for (;;) {
    const { status } = await browser.post("/api/me/email", { email: "other@example.com" })
    if (status === 401) break
    assert.equal(status, 202, "until this process has heard of it")
    await sql`delete from trestle.login_limits`.execute(made.db)
  }
})

test("what an application does at signup is committed with the account, or neither is", async (t) => {
  const data = Type.Object({ name: Type.String() })
  const welcome = mailTemplate("welcome", { data }, ({ data }) => ({
    subject: `Welcome ${data.name}`,
    text: "Hello\n",
  }))
  let isBroken = false
  const greeting = sampleApp(() => {}, {
    mails: [welcome],
    async onSignup({ user, mail, tx }) {
      await mail.send({ to: user.email, template: welcome, data: { name: user.fullname }, tx })
      if (isBroken) throw new Error("no welcome")
    },
  })
  const made = await testApp(t, greeting)
  await signedUp(made)
  assert.deepEqual(
    (await sentNow(made)).map(({ to, subject }) => ({ to, subject })),
    [{ to: email, subject: "Welcome Anna Miller" }],
  )
  isBroken = true
  assert.equal((await made.visitor.post("/api/signup", person("bert"))).status, 500)
  assert.deepEqual(await sentNow(made), [])
  isBroken = false
  await signedUp(made, person("bert"))
  assert.equal((await sentNow(made)).length, 1)
  assert.equal((await made.visitor.post("/api/signup", person("bert"))).status, 400)
  assert.deepEqual(await sentNow(made), [], "a taken address is no signup")
})
