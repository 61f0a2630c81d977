// @together
/** Sessions over HTTP: their cookies, their life, their data, and requests that pages of other sites send. */
import assert from "node:assert/strict"
import { type TestContext, test } from "node:test"
import { sql, Type } from "trestle"
import { testApp } from "trestle/testing"
import { createCookie } from "../src/auth/session-cookie.ts"
import { Browser, person } from "./browser.ts"
import { sampleApp } from "./sample/app.ts"

declare module "trestle" {
  interface SessionData {
    cart: string[]
    count: number
  }
}

const Any = Type.Object({}, { additionalProperties: true })
const answers = { response: { 200: Any } }

const app = sampleApp((api) => {
  api.get("/who", { role: "visitor", schema: answers }, async ({ caller }) => ({ ...caller }))
  api.get("/mine", { role: "readonly", schema: answers }, async ({ user }) => ({ ...user }))
  api.post("/open", { role: "visitor", schema: answers }, async ({ caller }) => ({ via: caller?.via }))
  api.delete("/safe", { role: "readonly", fresh: "10 minutes", schema: answers }, async () => ({}))
  api.get("/cart", { role: "visitor", schema: answers }, async ({ session }) => ({
    cart: await session.get("cart"),
    count: await session.get("count"),
  }))
  api.put("/cart", { role: "readonly", schema: { ...answers, body: Any } }, async ({ session, body }) => {
    const { cart, count } = body as { cart?: string[]; count?: number }
    if ("cart" in body) await session.set("cart", cart ?? undefined)
    if (count !== undefined) await session.set("count", count)
    return {}
  })
  api.post("/leave", { role: "readonly", schema: answers }, async ({ session }) => {
    await session.destroy()
    return {}
  })
})
const start = (t: TestContext, env: Record<string, string> = {}) => testApp(t, app, { env })

async function signedUp(url: string, name: string, headers: Record<string, string> = {}) {
  const browser = new Browser(url, headers)
  const { status, body } = await browser.post("/api/signup", person(name))
  assert.equal(status, 201, JSON.stringify(body))
  return Object.assign(browser, { account: body })
}

test("request.user says who calls, how and since when", async (t) => {
  const { url } = await start(t)
  const anna = await signedUp(url, "anna")
  const { id, role, email, name, via, since } = (await anna.get("/api/sample/mine")).body
  assert.deepEqual(
    [id, role, email, name, via],
    [anna.account.id, "editor", "anna@example.com", "Anna Miller", "session"],
  )
  assert.ok(Math.abs(Date.parse(since) - Date.now()) < 60_000)
  assert.deepEqual((await new Browser(url).get("/api/sample/who")).body, {})
  const stale = new Browser(url)
  stale.cookies.set("session", "x".repeat(43))
  assert.deepEqual((await stale.get("/api/sample/who")).body, {}, "an old cookie is a visitor's")
})

test("two session cookies are refused: one of them was planted", async (t) => {
  const { url } = await start(t)
  const anna = await signedUp(url, "anna")
  const token = anna.cookies.get("session")
  for (const cookie of [`session=${token}; session=x`, `session=x; a=b; session=${token}`, "session=; session="]) {
    const { status, body } = await new Browser(url).get("/api/me", { cookie })
    assert.equal(status, 400)
    assert.match(body.detail, /two cookies named session/)
  }
  const beside = await new Browser(url).get("/api/me", { cookie: `xsession=1;session=${token} ; session2=2` })
  assert.equal(beside.status, 200)
})

test("over TLS the cookie is Secure and bound to the host, and the other name counts for nothing", async (t) => {
  const { url } = await start(t, { SESSION_SECURE: "true", SESSION_SAME_SITE: "strict" })
  const anna = new Browser(url)
  const { setCookies } = await anna.post("/api/signup", person("anna"))
  const session = setCookies.find((line) => line.includes("session="))!
  assert.match(session, /^__Host-session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Secure; Max-Age=\d+$/)
  assert.equal((await anna.get("/api/me")).status, 200)
  const planted = await new Browser(url).get("/api/me", { cookie: `session=${anna.cookies.get("__Host-session")}` })
  assert.equal(planted.status, 401)

  const proxied = await start(t, { TRUSTED_PROXIES: "127.0.0.1" })
  const behind = new Browser(proxied.url, { "x-forwarded-for": "203.0.113.7", "x-forwarded-proto": "https" })
  assert.match((await behind.post("/api/signup", person("anna"))).setCookies.join(), /__Host-session=[^,]*; Secure/)

  const shared = await start(t, { SESSION_SECURE: "true", SESSION_DOMAIN: "example.com" })
  const { setCookies: wide } = await new Browser(shared.url).post("/api/signup", person("anna"))
  assert.match(wide.join(), /__Secure-session=[^,]*; Secure; Domain=example\.com/)
})

test("a cookie for other sites has to be Secure", () => {
  const settings = { idle: 1, max_per_account: 1, same_site: "none", secure: false } as const
  assert.throws(() => createCookie("session", settings), /SESSION_SECURE=true/)
})

test("a page of another site cannot act as the user, nor log a browser in", async (t) => {
  const { url } = await start(t, { CORS_ENABLED: "true", CORS_ALLOW_ORIGINS: "https://friend.example" })
  const anna = await signedUp(url, "anna")
  const { host } = new URL(url)
  const foreign: Record<string, string>[] = [
    { "sec-fetch-site": "cross-site", origin: "https://evil.example" },
    { "sec-fetch-site": "same-site", origin: "https://other.example.com" },
    { "sec-fetch-site": "cross-site" },
    { "sec-fetch-site": "cross-site", origin: `http://${host}` },
    { "sec-fetch-site": "made-up", origin: "https://evil.example" },
    { origin: "https://evil.example" },
    { origin: "null" },
    { origin: `http://${host}.evil.example` },
    { origin: "http://localhost:1" },
  ]
  const own: Record<string, string>[] = [
    {},
    { "sec-fetch-site": "same-origin", origin: `http://${host}` },
    { "sec-fetch-site": "none" },
    { origin: `http://${host}` },
    { "sec-fetch-site": "cross-site", origin: "https://friend.example" },
    { origin: "https://friend.example" },
  ]
  const credentials = { email: "anna@example.com", password: person("anna").password }
  for (const headers of foreign) {
    const said = JSON.stringify(headers)
    assert.equal((await anna.patch("/api/me", { company: "Evil" }, headers)).status, 403, said)
    assert.equal((await anna.post("/api/sample/open", undefined, headers)).status, 403, said)
    assert.equal((await new Browser(url).post("/api/login", credentials, headers)).status, 403, said)
    assert.equal((await new Browser(url).post("/api/signup", person("bert"), headers)).status, 403, said)
    assert.equal((await anna.get("/api/me", headers)).status, 200, `${said}: reading is what CORS is for`)
  }
  for (const headers of own) {
    assert.equal((await anna.patch("/api/me", { company: "Own" }, headers)).status, 200, JSON.stringify(headers))
  }
})

test("bearer tokens and API keys are sent by nobody else, so any page may", async (t) => {
  const { url, as } = await start(t)
  await signedUp(url, "anna")
  const { email, password } = person("anna")
  const { token } = (await new Browser(url).post("/api/login", { email, password, token: true })).body
  const headers = { "sec-fetch-site": "cross-site", origin: "https://evil.example" }
  const bearer = await new Browser(url).post("/api/sample/open", undefined, {
    ...headers,
    authorization: `Bearer ${token}`,
  })
  assert.deepEqual([bearer.status, bearer.body], [200, { via: "bearer" }])
  assert.equal((await as("editor").post("/api/sample/open", undefined, headers)).status, 200)
})

test("with CORS for everybody, pages of others come without credentials or not at all", async (t) => {
  const { url } = await start(t, { CORS_ENABLED: "true", CORS_ALLOW_ORIGINS: "*" })
  const anna = await signedUp(url, "anna")
  const headers = { "sec-fetch-site": "cross-site", origin: "https://any.example" }
  assert.equal((await new Browser(url).post("/api/sample/open", undefined, headers)).status, 200)
  assert.equal((await anna.post("/api/sample/open", undefined, headers)).status, 403)
})

test("use prolongs a session, disuse and its absolute age end it", async (t) => {
  const { url, db } = await start(t, { SESSION_IDLE: "10 days", SESSION_ABSOLUTE: "30 days" })
  const anna = await signedUp(url, "anna")
  const row = async () =>
    (await sql<{ expires: string; renewed: string }>`select expires, renewed from trestle.sessions`.execute(db))
      .rows[0]!
  const before = await row()
  assert.equal((await anna.get("/api/me")).setCookies.length, 0)
  assert.deepEqual(await row(), before, "nothing is written as long as little of it is used up")

  await sql`update trestle.sessions set renewed = renewed - interval '1 day', expires = expires - interval '1 day'`.execute(
    db,
  )
  await sql`select pg_notify('trestle_changes', ${`user ${anna.account.id}`})`.execute(db)
  let cookie: string[] = []
  while (cookie.length === 0) cookie = (await anna.get("/api/me")).setCookies
  assert.match(cookie[0]!, /Max-Age=864000$/)
  while ((await row()).renewed < before.renewed);

  await sql`update trestle.sessions set expires = now()`.execute(db)
  await sql`select pg_notify('trestle_changes', ${`user ${anna.account.id}`})`.execute(db)
  while ((await anna.get("/api/me")).status !== 401);
})

test("an account has so many sessions and no more: a login ends the one that was used longest ago", async (t) => {
  const { url } = await start(t, { SESSION_MAX_PER_ACCOUNT: "2" })
  const first = await signedUp(url, "anna")
  const { email, password } = person("anna")
  const [second, third] = [new Browser(url), new Browser(url)]
  const status = async (browser: Browser) => (await browser.get("/api/me")).status
  assert.equal((await second.post("/api/login", { email, password })).status, 200)
  assert.deepEqual([await status(first), await status(second)], [200, 200])
  assert.equal((await third.post("/api/login", { email, password })).status, 200)
  assert.deepEqual([await status(first), await status(second), await status(third)], [401, 200, 200])
  assert.equal((await third.get("/api/me/sessions")).body.length, 2)
})

test("a route can ask for a login of a moment ago", async (t) => {
  const { url, db, as } = await start(t)
  const anna = await signedUp(url, "anna")
  assert.equal((await anna.delete("/api/sample/safe")).status, 200)
  await sql`update trestle.sessions set authenticated = now() - interval '11 minutes'`.execute(db)
  await sql`select pg_notify('trestle_changes', ${`user ${anna.account.id}`})`.execute(db)
  let answer = await anna.delete("/api/sample/safe")
  while (answer.status === 200) answer = await anna.delete("/api/sample/safe")
  assert.deepEqual([answer.status, answer.body.detail], [401, "This needs a login of a moment ago. Log in again."])
  assert.equal((await anna.get("/api/me")).status, 200)
  await anna.post("/api/login", { email: "anna@example.com", password: person("anna").password })
  assert.equal((await anna.delete("/api/sample/safe")).status, 200)
  assert.equal((await as("superuser").delete("/api/sample/safe")).status, 403)
})

test("an application keeps data with a session, key by key", async (t) => {
  const { url, db, as } = await start(t)
  const anna = await signedUp(url, "anna")
  const put = (body: object) => anna.call("PUT", "/api/sample/cart", body)
  assert.deepEqual((await anna.get("/api/sample/cart")).body, {})
  await Promise.all([put({ cart: ["milk"] }), put({ count: 2 })])
  assert.deepEqual((await anna.get("/api/sample/cart")).body, { cart: ["milk"], count: 2 })
  await put({ cart: null })
  assert.deepEqual((await anna.get("/api/sample/cart")).body, { count: 2 })

  const bert = await signedUp(url, "bert")
  assert.deepEqual((await bert.get("/api/sample/cart")).body, {})
  assert.equal((await new Browser(url).get("/api/sample/cart")).status, 401)
  assert.equal((await as("editor").get("/api/sample/cart")).status, 400)

  await anna.post("/api/sample/leave")
  assert.equal((await anna.get("/api/me")).status, 401)
  assert.equal((await sql`select 1 from trestle.session_data`.execute(db)).rows.length, 0)
})

test("nothing is stored for visitors", async (t) => {
  const { url, db } = await start(t)
  const visitor = new Browser(url)
  for (const path of ["/api/health", "/api/sample/who", "/", "/api/list"]) {
    assert.deepEqual((await visitor.get(path)).setCookies, [], path)
  }
  await visitor.post("/api/login", { email: "anna@example.com", password: "Something else 7" })
  for (const table of ["sessions", "browsers"]) {
    assert.equal((await sql`select 1 from ${sql.table(`trestle.${table}`)}`.execute(db)).rows.length, 0, table)
  }
})

test("no token stands in a table or in the log", async (t) => {
  const { url, db, log } = await start(t)
  const anna = await signedUp(url, "anna")
  const tokens = [...anna.cookies.values()]
  const { email, password } = person("anna")
  tokens.push((await new Browser(url).post("/api/login", { email, password, token: true })).body.token, password)
  await anna.get(`/api/me?token=${tokens[0]}`)
  await new Browser(url, { authorization: `Bearer ${tokens[0]}` }).get("/api/me")
  const { rows } = await sql`
    select to_jsonb(t) from trestle.users t union all select to_jsonb(t) from trestle.sessions t
    union all select to_jsonb(t) from trestle.browsers t`.execute(db)
  const all = JSON.stringify(rows) + log.join("")
  assert.ok(rows.length >= 4)
  for (const token of tokens) assert.ok(!all.includes(token))
})
