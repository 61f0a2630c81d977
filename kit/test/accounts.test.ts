// @together
/**
 * Accounts over HTTP: signing up, logging in and out, one's own account, the accounts of others. All of it with sessions in
 * PostgreSQL and in Redis.
 */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { type TestContext, test } from "node:test"
import { sql } from "trestle"
import { type TestApp, testApp } from "trestle/testing"
import { Browser, person as personOf } from "./browser.ts"
import { noRedis, startRedis } from "./redis.ts"
import { sampleApp } from "./sample/app.ts"

const app = sampleApp(() => {})
type Start = (t: TestContext, env?: Record<string, string>) => Promise<TestApp>

function both(name: string, run: (t: TestContext, start: Start) => Promise<void>): void {
  test(name, (t) => run(t, (t, env = {}) => testApp(t, app, { env })))
  test(`${name} (sessions in Redis)`, { skip: noRedis }, async (t) => {
    const { url } = await startRedis(t)
    await run(t, (t, env = {}) => testApp(t, app, { env: { REDIS_URL: url, ...env } }))
  })
}

both("who signs up is logged in, with the role of the settings", async (t, start) => {
  const { url } = await start(t)
  const anna = new Browser(url)
  const { status, body, setCookies } = await anna.post("/api/signup", { ...personOf("anna"), company: "Miller & Co" })
  assert.equal(status, 201)
  assert.deepEqual(
    { ...body, id: typeof body.id, created: typeof body.created, modified: typeof body.modified },
    {
      id: "string",
      created: "string",
      modified: "string",
      email: "anna@example.com",
      first_name: "Anna",
      last_name: "Miller",
      fullname: "Anna Miller",
      company: "Miller & Co",
      role: "editor",
      tags: [],
    },
  )
  const session = setCookies.find((line) => line.startsWith("session="))!
  assert.match(session, /^session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax; Max-Age=2592000$/)
  assert.deepEqual((await anna.get("/api/me")).body, { me: body })

  const reader = new Browser((await start(t, { ACCOUNTS_DEFAULT_ROLE: "readonly" })).url)
  assert.equal((await reader.post("/api/signup", personOf("bert"))).body.role, "readonly")
})

both("what cannot be an account is refused with what is wrong", async (t, start) => {
  const { url, db } = await start(t)
  const browser = new Browser(url)
  const signup = async (change: object) => {
    const { status, body } = await browser.post("/api/signup", { ...personOf("anna"), ...change })
    return [status, body.errors?.map(({ at }: { at: string }) => at) ?? body.detail]
  }
  assert.deepEqual(await signup({ email: "anna" }), [400, ["body/email"]])
  assert.deepEqual(await signup({ email: "anna @example.com" }), [400, ["body/email"]])
  assert.deepEqual(await signup({ email: `${"a".repeat(250)}@example.com` }), [400, ["body/email"]])
  assert.deepEqual(await signup({ password: "short" }), [400, ["body/password"]])
  assert.deepEqual(await signup({ password: "password123" }), [400, ["body/password"]])
  assert.deepEqual(await signup({ password: "anna@example.com" }), [400, ["body/password"]])
  assert.deepEqual(await signup({ fname: "" }), [400, ["body/fname"]])
  assert.deepEqual(await signup({ role: "superuser" }), [400, ["body/role"]])
  assert.deepEqual(await signup({ id: "00000000-0000-4000-8000-000000000000" }), [400, ["body/id"]])
  const { rows } = await sql`select 1 from trestle.users`.execute(db)
  assert.equal(rows.length, 0)
  assert.deepEqual([...browser.cookies], [])
})

both("an address is one account, in whatever case it is written", async (t, start) => {
  const { url } = await start(t)
  await new Browser(url).post("/api/signup", personOf("anna"))
  const again = await new Browser(url).post("/api/signup", { ...personOf("anna"), email: "ANNA@Example.COM" })
  assert.equal(again.status, 400)
  const login = await new Browser(url).post("/api/login", {
    email: "Anna@example.com",
    password: personOf("anna").password,
  })
  assert.equal(login.status, 200)
  const together = await Promise.all([1, 2, 3, 4].map(() => new Browser(url).post("/api/signup", personOf("bert"))))
  assert.deepEqual(together.map(({ status }) => status).sort(), [201, 400, 400, 400])
})

both("where taken addresses are not revealed, signup says the same of both and logs nobody in", async (t, start) => {
  const { url } = await start(t, { ACCOUNTS_REVEAL_TAKEN_EMAIL: "false" })
  const answers = []
  for (let i = 0; i < 2; i++) {
    const browser = new Browser(url)
    const { status, body } = await browser.post("/api/signup", personOf("anna"))
    assert.equal(browser.cookies.size, 0)
    answers.push([status, body.message])
  }
  assert.deepEqual(answers[0], answers[1])
  const login = await new Browser(url).post("/api/login", {
    email: "anna@example.com",
    password: personOf("anna").password,
  })
  assert.equal(login.status, 200)
})

both("where signup is off there is none", async (t, start) => {
  const { url } = await start(t, { ACCOUNTS_SIGNUP: "false" })
  assert.equal((await new Browser(url).post("/api/signup", personOf("anna"))).status, 404)
})

both("a login gives a new token each time, a logout ends it", async (t, start) => {
  const { url } = await start(t)
  const anna = new Browser(url)
  const { email, password } = personOf("anna")
  await anna.post("/api/signup", personOf("anna"))
  const first = anna.cookies.get("session")!
  const { status, body } = await anna.post("/api/login", { email, password })
  assert.deepEqual([status, body.email], [200, email])
  assert.notEqual(anna.cookies.get("session"), first)

  const planted = new Browser(url)
  planted.cookies.set("session", first)
  assert.equal((await planted.get("/api/me")).status, 401, "the token from before the login")

  const token = anna.cookies.get("session")!
  assert.deepEqual((await anna.post("/api/logout")).body, {})
  assert.equal(anna.cookies.has("session"), false)
  planted.cookies.set("session", token)
  assert.equal((await planted.get("/api/me")).status, 401, "the token from before the logout")
  assert.equal((await anna.post("/api/logout")).status, 401)
})

both("a token that a client chose itself is never taken", async (t, start) => {
  const { url } = await start(t)
  const anna = new Browser(url)
  anna.cookies.set("session", "A".repeat(43))
  await anna.post("/api/signup", personOf("anna"))
  assert.notEqual(anna.cookies.get("session"), "A".repeat(43))
})

both("the browser's cookie is kept from login to login, and one that a client made up is not", async (t, start) => {
  const { url } = await start(t)
  const anna = new Browser(url)
  anna.cookies.set("browser", "A".repeat(43))
  await anna.post("/api/signup", personOf("anna"))
  const own = anna.cookies.get("browser")!
  assert.notEqual(own, "A".repeat(43))
  await anna.post("/api/login", { email: "anna@example.com", password: personOf("anna").password })
  assert.equal(anna.cookies.get("browser"), own)
})

both("a wrong password, an unknown address and a disabled account get the same answer", async (t, start) => {
  const { url, db } = await start(t)
  for (const name of ["anna", "bert"]) await new Browser(url).post("/api/signup", personOf(name))
  await sql`update trestle.users set disabled = true where email = 'bert@example.com'`.execute(db)
  const answers = []
  for (const [email, password] of [
    ["anna@example.com", "Something else 7"],
    ["nobody@example.com", "Something else 7"],
    ["no address at all", "Something else 7"],
    ["bert@example.com", personOf("bert").password],
  ]) {
    const { status, body, setCookies } = await new Browser(url).post("/api/login", { email, password })
    const { request_id, ...rest } = body
    answers.push({ status, rest, setCookies })
  }
  for (const answer of answers) assert.deepEqual(answer, answers[0])
  assert.equal(answers[0]!.status, 400)
})

both("a mobile app gets a bearer token and no cookie", async (t, start) => {
  const { url } = await start(t)
  await new Browser(url).post("/api/signup", personOf("anna"))
  const { email, password } = personOf("anna")
  const { status, body, setCookies } = await new Browser(url).post("/api/login", { email, password, token: true })
  assert.deepEqual([status, setCookies], [200, []])
  assert.match(body.token, /^[\w-]{43}$/)

  const mobile = new Browser(url, { authorization: `Bearer ${body.token}` })
  assert.equal((await mobile.get("/api/me")).body.me.email, email)
  assert.equal((await mobile.post("/api/logout")).status, 200)
  const after = await mobile.get("/api/health")
  assert.equal(after.status, 401, "a wrong token is refused everywhere")
  assert.match(after.headers.get("www-authenticate")!, /Bearer/)

  const asCookie = new Browser(url)
  const again = await asCookie.post("/api/login", { email, password, token: true })
  asCookie.cookies.set("session", again.body.token)
  assert.equal((await asCookie.get("/api/me")).status, 401, "a bearer token is no cookie")
})

both("without remember the cookie ends with the browser", async (t, start) => {
  const { url } = await start(t)
  const anna = new Browser(url)
  const { setCookies } = await anna.post("/api/signup", { ...personOf("anna"), remember: false })
  assert.doesNotMatch(setCookies.find((line) => line.startsWith("session="))!, /Max-Age|Expires/)
})

both("people change their names, and nothing that is not theirs to change", async (t, start) => {
  const { url } = await start(t)
  const anna = new Browser(url)
  const { body: account } = await anna.post("/api/signup", { ...personOf("anna"), company: "Miller & Co" })
  const { body } = await anna.patch("/api/me", { first_name: "Änne", company: null })
  assert.deepEqual([body.me.fullname, body.me.company, body.me.created], ["Änne Miller", undefined, account.created])
  for (const field of ["role", "email", "tags", "disabled", "password"]) {
    assert.equal((await anna.patch("/api/me", { [field]: "superuser" })).status, 400, field)
  }
  assert.equal((await anna.patch("/api/me", {})).status, 200)
})

both("a new password needs the old one, and ends all other sessions", async (t, start) => {
  const { url } = await start(t)
  const anna = new Browser(url)
  const { email, password } = personOf("anna")
  await anna.post("/api/signup", personOf("anna"))
  const other = new Browser(url)
  await other.post("/api/login", { email, password })
  const change = (current_password: string, new_password: string) =>
    anna.post("/api/me/password", { current_password, new_password })

  assert.equal((await change("Something else 7", "A whole new one 8")).status, 400)
  assert.equal((await change(password, "short")).status, 400)
  assert.equal((await change(password, password)).status, 400)
  assert.equal((await other.get("/api/me")).status, 200)

  const before = anna.cookies.get("session")
  assert.equal((await change(password, "A whole new one 8")).status, 200)
  assert.notEqual(anna.cookies.get("session"), before)
  assert.equal((await anna.get("/api/me")).status, 200)
  assert.equal((await other.get("/api/me")).status, 401)
  assert.equal((await other.post("/api/login", { email, password })).status, 400)
  assert.equal((await other.post("/api/login", { email, password: "A whole new one 8" })).status, 200)
})

both("an id is the same in whatever case it is written", async (t, start) => {
  const { url, as, person } = await start(t)
  const anna = new Browser(url)
  const { body: account } = await anna.post("/api/signup", personOf("anna"))
  const phone = new Browser(url)
  await phone.post("/api/login", { email: account.email, password: personOf("anna").password })
  for (let i = 0; i < 10; i++) assert.equal((await phone.get("/api/me")).status, 200)
  const [session] = (await anna.get("/api/me/sessions")).body
  assert.equal((await anna.delete(`/api/me/sessions/${session.id.toUpperCase()}`)).status, 200)
  assert.equal((await phone.get("/api/me")).status, 401)

  const superuser = as("superuser")
  const path = `/api/users/${account.id.toUpperCase()}`
  assert.equal((await superuser.patch(path, { role: "superuser" })).status, 200)
  assert.equal((await anna.get("/api/users")).status, 200)
  assert.equal((await anna.patch(path, { role: "editor" })).status, 400, "the own role")
  assert.equal((await superuser.patch(path, { disabled: true })).status, 200)
  assert.equal((await anna.get("/api/me")).status, 401)
  assert.equal((await person("editor").get("/api/me")).status, 200)
})

both("a login with the old password does not outlive a new one", async (t, start) => {
  const { url } = await start(t)
  const anna = new Browser(url)
  const { email, password } = personOf("anna")
  await anna.post("/api/signup", personOf("anna"))
  let isChanging = true
  const tokens: string[] = []
  const logins = Array.from({ length: 4 }, async () => {
    while (isChanging) {
      const { status, body } = await new Browser(url).post("/api/login", { email, password, token: true })
      if (status === 200) tokens.push(body.token)
      else assert.equal(status, 400)
    }
  })
  while (tokens.length < 4) await new Promise(setImmediate)
  const change = { current_password: password, new_password: "A whole new one 8" }
  assert.equal((await anna.post("/api/me/password", change)).status, 200)
  isChanging = false
  await Promise.all(logins)
  assert.ok(tokens.length >= 4)
  for (const token of tokens) {
    const answer = await new Browser(url, { authorization: `Bearer ${token}` }).get("/api/me")
    assert.equal(answer.status, 401)
  }
  assert.equal((await anna.get("/api/me")).status, 200)
})

both(
  "of two new passwords at once one counts, and a session with the former token cannot give another",
  async (t, start) => {
    const { url } = await start(t)
    const anna = new Browser(url)
    const { password } = personOf("anna")
    await anna.post("/api/signup", personOf("anna"))
    const changes = ["A whole new one 8", "Another new one 9"].map((new_password) =>
      new Browser(url, { cookie: `session=${anna.cookies.get("session")}` }).post("/api/me/password", {
        current_password: password,
        new_password,
      }),
    )
    const statuses = (await Promise.all(changes)).map(({ status }) => status)
    assert.equal(statuses.filter((status) => status === 200).length, 1, String(statuses))
    assert.ok(
      statuses.every((status) => [200, 400, 401, 409].includes(status)),
      String(statuses),
    )
    assert.equal((await anna.get("/api/me")).status, 401, "the token from before stops at once")
  },
)

both("people see their sessions and end them, and never those of others", async (t, start) => {
  const { url } = await start(t)
  const anna = new Browser(url, { "user-agent": "Laptop" })
  const phone = new Browser(url, { "user-agent": "Phone" })
  const bert = new Browser(url)
  const { email, password } = personOf("anna")
  await anna.post("/api/signup", personOf("anna"))
  await phone.post("/api/login", { email, password })
  await bert.post("/api/signup", personOf("bert"))

  const { body: sessions } = await anna.get("/api/me/sessions")
  assert.deepEqual(
    sessions.map(({ agent, current }: { agent: string; current: boolean }) => [agent, current]),
    [
      ["Phone", false],
      ["Laptop", true],
    ],
  )
  assert.ok(!JSON.stringify(sessions).includes(anna.cookies.get("session")!))
  assert.equal((await bert.delete(`/api/me/sessions/${sessions[0].id}`)).status, 404)
  assert.equal((await phone.get("/api/me")).status, 200)
  assert.equal((await anna.delete(`/api/me/sessions/${sessions[0].id}`)).status, 200)
  assert.equal((await phone.get("/api/me")).status, 401)
  assert.equal((await anna.get("/api/me/sessions")).body.length, 1)
})

both("who deletes the account shows the password, and is gone", async (t, start) => {
  const { url, db } = await start(t)
  const anna = new Browser(url)
  const { email, password } = personOf("anna")
  await anna.post("/api/signup", personOf("anna"))
  const phone = new Browser(url)
  await phone.post("/api/login", { email, password })
  assert.equal((await anna.delete("/api/me", { password: "Something else 7" })).status, 400)
  assert.equal((await anna.delete("/api/me", {})).status, 400)
  assert.equal((await anna.delete("/api/me", { password })).status, 200)
  assert.equal((await phone.get("/api/me")).status, 401)
  assert.equal((await phone.post("/api/login", { email, password })).status, 400)
  for (const table of ["users", "sessions", "browsers"]) {
    const { rows } = await sql`select 1 from ${sql.table(`trestle.${table}`)}`.execute(db)
    assert.equal(rows.length, 0, table)
  }
})

both("superusers find accounts by a part of address or name, a page at a time", async (t, start) => {
  const { url, as } = await start(t)
  for (const name of ["anna", "bert", "carla"]) await new Browser(url).post("/api/signup", personOf(name))
  await new Browser(url).post("/api/signup", { ...personOf("dora"), fname: "100%", lname: "a_b" })
  const superuser = as("superuser")
  const emails = async (query: string) =>
    (await superuser.get(`/api/users?${query}`)).body.map(({ email }: { email: string }) => email.split("@")[0])
  assert.deepEqual(await emails(""), ["anna", "bert", "carla", "dora"])
  assert.deepEqual(await emails("search=CARLA"), ["carla"])
  assert.deepEqual(await emails("search=bert%20mill"), ["bert"])
  assert.deepEqual(await emails("search=%25"), ["dora"])
  assert.deepEqual(await emails("search=a_b"), ["dora"])
  assert.deepEqual(await emails("page=2&size=3"), ["dora"])
  const first = await superuser.get("/api/users?size=3")
  assert.equal(first.headers.get("x-total-count"), "4")
  assert.match(first.headers.get("link")!, /size=3&page=2>; rel="next"/)
  for (const query of ["page=0", "size=0", "size=1001", "page=x"]) {
    assert.equal((await superuser.get(`/api/users?${query}`)).status, 400, query)
  }
  for (const role of ["readonly", "editor", "admin"] as const) {
    assert.equal((await as(role).get("/api/users")).status, 403, role)
  }
  assert.equal((await new Browser(url).get("/api/users")).status, 401)
})

both("a new role counts at once, and gives the session a new token", async (t, start) => {
  const { url, as } = await start(t)
  const anna = new Browser(url)
  const { body: account } = await anna.post("/api/signup", personOf("anna"))
  const old = anna.cookies.get("session")!
  const superuser = as("superuser")
  assert.equal((await anna.get("/api/users")).status, 403)
  const { body } = await superuser.patch(`/api/users/${account.id}`, { role: "superuser", tags: ["staff"] })
  assert.deepEqual([body.role, body.tags], ["superuser", ["staff"]])

  assert.equal((await anna.get("/api/users")).status, 200)
  assert.notEqual(anna.cookies.get("session"), old)
  assert.equal((await anna.get("/api/users")).status, 200)

  // A request that was under way with the old token is still answered, and gets no token of its own.
  const late = new Browser(url)
  late.cookies.set("session", old)
  assert.equal((await late.get("/api/users")).status, 200)
  assert.equal(late.cookies.get("session"), old)
})

both("a disabled account is let in nowhere, and gets its role back when it is enabled", async (t, start) => {
  const { url, as } = await start(t)
  const anna = new Browser(url)
  const { body: account } = await anna.post("/api/signup", personOf("anna"))
  const superuser = as("superuser")
  const change = (body: object) => superuser.patch(`/api/users/${account.id}`, body)
  assert.equal((await change({ disabled: true })).body.role, "disabled")
  assert.equal((await anna.get("/api/me")).status, 401)
  const { email, password } = personOf("anna")
  assert.equal((await anna.post("/api/login", { email, password })).status, 400)
  assert.equal((await change({ disabled: false })).body.role, "editor")
  assert.equal((await anna.get("/api/me")).status, 401, "its sessions are gone")
  assert.equal((await anna.post("/api/login", { email, password })).status, 200)
  assert.equal((await change({ role: "owner" })).status, 400)
  assert.equal((await change({ email: "other@example.com" })).status, 400)
  assert.equal((await superuser.patch("/api/users/00000000-0000-4000-8000-000000000000", {})).status, 404)
})

both("nobody changes their own role", async (t, start) => {
  const { url, db } = await start(t)
  const anna = new Browser(url)
  const { body: account } = await anna.post("/api/signup", personOf("anna"))
  await sql`update trestle.users set role = 'superuser'`.execute(db)
  await anna.post("/api/login", { email: account.email, password: personOf("anna").password })
  assert.equal((await anna.patch(`/api/users/${account.id}`, { role: "editor" })).status, 400)
  assert.equal((await anna.patch(`/api/users/${account.id}`, { disabled: true })).status, 400)
  assert.equal((await anna.patch(`/api/users/${account.id}`, { tags: ["me"] })).status, 200)
})

both("an API key has no account", async (t, start) => {
  const { as } = await start(t)
  for (const path of ["/api/me", "/api/me/sessions"]) assert.equal((await as("superuser").get(path)).status, 403)
})

both("a password is kept as argon2id only, and RESTPie3's is made anew at the first login", async (t, start) => {
  const { url, db } = await start(t)
  await new Browser(url).post("/api/signup", personOf("anna"))
  const stored = async () =>
    (await sql<{ password: string }>`select password from trestle.users`.execute(db)).rows[0]!.password
  assert.match(await stored(), /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)

  const { pbkdf2Sync } = await import("node:crypto")
  const salt = createHash("sha256").update("salt").digest().subarray(0, 16)
  const ab64 = (bytes: Buffer) => bytes.toString("base64").replaceAll("+", ".").replaceAll("=", "")
  const { email, password } = personOf("anna")
  const passlib = `$pbkdf2-sha256$29000$${ab64(salt)}$${ab64(pbkdf2Sync(password, salt, 29000, 32, "sha256"))}`
  await sql`update trestle.users set password = ${passlib}`.execute(db)
  assert.equal((await new Browser(url).post("/api/login", { email, password: "Something else 7" })).status, 400)
  assert.equal(await stored(), passlib)
  assert.equal((await new Browser(url).post("/api/login", { email, password })).status, 200)
  assert.match(await stored(), /^\$argon2id\$/)
  assert.equal((await new Browser(url).post("/api/login", { email, password })).status, 200)
})
