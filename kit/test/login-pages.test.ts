// @together
/** The pages on which people log in, sign up and log out, without JavaScript. */
import assert from "node:assert/strict"
import { type TestContext, test } from "node:test"
import { sql } from "trestle"
import { testApp } from "trestle/testing"
import { nextPath } from "../src/auth/pages/next-path.ts"
import { Browser, person } from "./browser.ts"
import { sampleApp } from "./sample/app.ts"

const app = sampleApp(() => {})
const start = (t: TestContext, env: Record<string, string> = {}) => testApp(t, app, { env })

const isForm = { "content-type": "application/x-www-form-urlencoded" }
const send = (browser: Browser, path: string, fields: Record<string, string>, headers: Record<string, string> = {}) =>
  browser.post(path, new URLSearchParams(fields).toString(), { ...isForm, ...headers })

const { email, password } = person("anna")

test("who logs in with the form has a session, and goes to where the link said", async (t) => {
  const { url } = await start(t)
  await new Browser(url).post("/api/signup", person("anna"))
  const anna = new Browser(url)
  const page = await anna.get("/auth/login?next=/api/list%23getHealth")
  assert.equal(page.status, 200)
  assert.match(page.headers.get("content-type")!, /^text\/html/)
  assert.match(page.body, /name="next" value="\/api\/list#getHealth"/)
  const { status, headers, setCookies } = await send(anna, "/auth/login", {
    email,
    password,
    remember: "on",
    next: "/api/list#getHealth",
  })
  assert.deepEqual([status, headers.get("location")], [303, "/api/list#getHealth"])
  assert.equal(headers.get("cache-control"), "no-store")
  assert.match(setCookies.find((line) => line.startsWith("session="))!, /Max-Age=2592000/)
  assert.equal((await anna.get("/api/me")).body.me.email, email)

  const brief = new Browser(url)
  const login = await send(brief, "/auth/login", { email, password })
  assert.equal(login.headers.get("location"), "/")
  assert.doesNotMatch(login.setCookies.find((line) => line.startsWith("session="))!, /Max-Age/)
})

test("who is logged in sees who that is, and logs out with a button", async (t) => {
  const { url } = await start(t)
  const anna = new Browser(url)
  await anna.post("/api/signup", { ...person("anna"), fname: "<b>Anna" })
  const page = await anna.get("/auth/login")
  assert.match(page.body, /You are logged in/)
  assert.match(page.body, /&lt;b&gt;Anna Miller/)
  assert.match(page.body, /anna@example\.com/)
  assert.doesNotMatch(page.body, /type="password"/)
  const old = anna.cookies.get("session")!
  const logout = await send(anna, "/auth/logout", {})
  assert.deepEqual([logout.status, logout.headers.get("location")], [303, "/auth/login"])
  assert.equal(anna.cookies.has("session"), false)
  anna.cookies.set("session", old)
  assert.equal((await anna.get("/api/me")).status, 401)
  assert.equal((await send(new Browser(url), "/auth/logout", {})).status, 303, "a visitor is logged out already")
})

test("what is wrong is said above the form, which keeps the address and never the password", async (t) => {
  const { url } = await start(t)
  await new Browser(url).post("/api/signup", person("anna"))
  const browser = new Browser(url)
  const wrong = "Something <else> 7"
  const known = await send(browser, "/auth/login", { email, password: wrong, next: "/a?b=c" })
  const unknown = await send(browser, "/auth/login", { email: "nobody@example.com", password: wrong, next: "/a?b=c" })
  assert.equal(known.status, 400)
  assert.equal(unknown.body, known.body.replaceAll(email, "nobody@example.com"))
  assert.match(
    known.body,
    /<div class="problem" id="problem" role="alert"[^>]*><p>The e-mail address or the password is wrong/,
  )
  assert.match(known.body, /<title>Error: Log in/)
  assert.match(
    known.body,
    /<input id="email"[^>]* value="anna@example.com"[^>]* aria-invalid="true" aria-describedby="problem"/,
  )
  assert.match(known.body, /<input id="password"[^>]* value=""[^>]* aria-describedby="problem"/)
  assert.match(known.body, /name="next" value="\/a\?b=c"/)
  assert.doesNotMatch(known.body, /else/)
  assert.doesNotMatch(known.body, /name="remember" value="on" checked/, "the box stays as it was")
  assert.equal(browser.cookies.size, 0)

  const empty = await send(browser, "/auth/login", { email: "", password: "" })
  assert.equal(empty.status, 400)
  assert.match(empty.body, /<p id="problem-email"><a href="#email">Write your e-mail address/)
  assert.match(empty.body, /<input id="email"[^>]* aria-describedby="problem-email"/)
  const script = '"><script>alert(1)</script>'
  const hostile = await send(browser, "/auth/login", { email: script, password: "x", next: `/${script}` })
  assert.doesNotMatch(hostile.body, /<script/)
})

test("after too many wrong passwords the page answers 429, like the API", async (t) => {
  const { url } = await start(t)
  const browser = new Browser(url)
  const statuses: number[] = []
  for (let i = 0; i < 11; i++)
    statuses.push((await send(browser, "/auth/login", { email, password: `Wrong ${i}` })).status)
  assert.deepEqual(statuses.slice(0, 10), Array(10).fill(400))
  const last = await send(browser, "/auth/login", { email, password: "Wrong again" })
  assert.equal(last.status, 429)
  assert.match(last.body, /<form method="post" action="\/auth\/login">/)
  assert.ok(Number(last.headers.get("retry-after")) > 0)
  assert.equal(
    (await browser.post("/api/login", { email, password: "Wrong again" })).status,
    429,
    "they count together",
  )
})

test("who signs up is logged in, and what is wrong stands at its field", async (t) => {
  const { url, db } = await start(t, { ACCOUNTS_PASSWORD_MIN_LENGTH: "10" })
  const browser = new Browser(url)
  const page = await browser.get("/auth/signup")
  assert.match(page.body, /autocomplete="new-password" minlength="10"/)
  assert.match(page.body, /At least 10 characters/)
  const form = { ...person("anna"), company: "", remember: "on", next: "/api/list" }
  const weak = await send(browser, "/auth/signup", { ...form, password: "password12", fname: "" })
  assert.equal(weak.status, 400)
  assert.match(weak.body, /<a href="#fname">Write your first name/)
  const common = await send(browser, "/auth/signup", { ...form, password: "password12" })
  assert.match(common.body, /<p id="problem-password"><a href="#password">The password is one of the first/)
  assert.match(common.body, /value="Miller"/)
  assert.match(common.body, /aria-describedby="hint-password problem-password"/)
  assert.doesNotMatch(common.body, /password12/)
  assert.equal((await sql`select 1 from trestle.users`.execute(db)).rows.length, 0)

  const done = await send(browser, "/auth/signup", form)
  assert.deepEqual([done.status, done.headers.get("location")], [303, "/api/list"])
  const { me } = (await browser.get("/api/me")).body
  assert.deepEqual([me.fullname, me.role, me.company], ["Anna Miller", "editor", undefined])

  const taken = await send(new Browser(url), "/auth/signup", form)
  assert.equal(taken.status, 400)
  assert.match(taken.body, /has an account already/)
})

test("where taken addresses are not revealed, the page says the same of both", async (t) => {
  const { url } = await start(t, { ACCOUNTS_REVEAL_TAKEN_EMAIL: "false" })
  const answers = []
  for (let i = 0; i < 2; i++) {
    const browser = new Browser(url)
    const { status, body } = await send(browser, "/auth/signup", { ...person("anna"), next: "/x" })
    answers.push({ status, body, cookies: browser.cookies.size })
  }
  assert.deepEqual(answers[0], answers[1])
  assert.deepEqual([answers[0]!.status, answers[0]!.cookies], [200, 0])
  assert.match(answers[0]!.body, /href="\/auth\/login\?next=%2Fx"/)
  assert.equal((await send(new Browser(url), "/auth/login", { email, password })).status, 303)
})

test("where signup is off there is no page for it, and no link to one", async (t) => {
  const { url } = await start(t, { ACCOUNTS_SIGNUP: "false" })
  assert.equal((await new Browser(url).get("/auth/signup")).status, 404)
  assert.equal((await send(new Browser(url), "/auth/signup", person("anna"))).status, 404)
  assert.doesNotMatch((await new Browser(url).get("/auth/login")).body, /signup/)
})

test("no link to the login leads to another server", async (t) => {
  const { url } = await start(t)
  const elsewhere = [
    "https://example.com",
    "//example.com",
    "/\\example.com",
    "\\\\example.com",
    "/\t/example.com",
    "/\n/example.com",
    "/a\\b",
    "/a\nb",
    "\t//example.com",
    "/..//example.com",
    "/.//example.com",
    "/a/../..//example.com/b",
    "javascript:alert(1)",
    "example.com",
    "",
    `/${"a".repeat(1001)}`,
    `/${"ä".repeat(400)}`,
  ]
  for (const next of elsewhere) assert.equal(nextPath(next), "/", JSON.stringify(next))
  const here = [
    "/",
    "/a",
    "/a/b?c=d&e=//f#g",
    "/a//b",
    "/@example.com",
    "/:80",
    "/%2F%2Fexample.com",
    "/%5Cexample.com",
  ]
  for (const next of here) assert.equal(nextPath(next), next)
  assert.equal(nextPath("/ä b"), "/%C3%A4%20b")
  assert.equal(nextPath("/a/../b"), "/b")

  await new Browser(url).post("/api/signup", person("anna"))
  for (const next of elsewhere) {
    const { status, headers } = await send(new Browser(url), "/auth/login", { email, password, next })
    assert.deepEqual([status, headers.get("location")], [303, "/"], JSON.stringify(next))
  }
  const twice = await new Browser(url).get("/auth/login?next=/a&next=/b")
  assert.match(twice.body, /name="next" value="\/"/)
})

test("a page of another site can send none of these forms, whatever cors allows", async (t) => {
  const friend = "https://friend.example"
  const { url, db } = await start(t, {
    CORS_ENABLED: "true",
    CORS_ALLOW_ORIGINS: friend,
    CORS_ALLOW_CREDENTIALS: "true",
  })
  await new Browser(url).post("/api/signup", person("anna"))
  const foreign: Record<string, string>[] = [
    { origin: friend, "sec-fetch-site": "cross-site" },
    { origin: friend },
    { origin: "null" },
    { origin: "https://other.example" },
    { "sec-fetch-site": "same-site", origin: url },
    { "sec-fetch-site": "cross-site" },
  ]
  for (const headers of foreign) {
    for (const [path, fields] of [
      ["/auth/login", { email, password }],
      ["/auth/signup", person("bert")],
      ["/auth/logout", {}],
    ] as const) {
      const browser = new Browser(url)
      const { status, setCookies, body } = await send(browser, path, fields, headers)
      assert.deepEqual([status, setCookies], [403, []], `${path} ${JSON.stringify(headers)}`)
      assert.match(body, /A page of another site sent this/)
    }
  }
  assert.equal((await sql`select 1 from trestle.users`.execute(db)).rows.length, 1)
  const own: Record<string, string>[] = [{ origin: url }, { origin: url, "sec-fetch-site": "same-origin" }, {}]
  for (const headers of own) {
    assert.equal((await send(new Browser(url), "/auth/login", { email, password }, headers)).status, 303)
  }
})

test("forms are taken by these pages alone, and nothing else is by them", async (t) => {
  const { url } = await start(t)
  const browser = new Browser(url)
  const asText = (fields: Record<string, string>) => new URLSearchParams(fields).toString()
  assert.equal((await browser.post("/api/login", asText({ email, password }), isForm)).status, 415)
  assert.equal((await browser.post("/api/signup", asText(person("anna")), isForm)).status, 415)
  const json = await browser.post("/auth/login", { email, password })
  assert.equal(json.status, 415)
  assert.match(json.body, /<h1>This did not work/)
  assert.equal((await browser.post("/auth/login", "{}", { "content-type": "text/plain" })).status, 415)
  assert.equal((await browser.post("/auth/login", asText({ email: "a".repeat(41_000) }), isForm)).status, 413)
  for (const body of ["email=%00", "email=a&password=b&role=superuser", "__proto__=x", ""]) {
    assert.equal((await browser.post("/auth/login", body, isForm)).status, 400, body)
  }
  assert.equal((await browser.post("/auth/login", undefined)).status, 400)
  assert.match((await browser.post("/auth/login", "email=a&email=b&password=c", isForm)).body, /has a field twice/)
})

test("the pages are strict about what they load, are kept by nobody, and are not in the documentation", async (t) => {
  const { url } = await start(t)
  const browser = new Browser(url)
  const { body: openapi } = await browser.get("/api/openapi.json")
  assert.deepEqual(
    Object.keys(openapi.paths).filter((path) => path.startsWith("/auth")),
    [],
  )
  for (const path of ["/auth/login", "/auth/signup"]) {
    const { headers, body } = await browser.get(path)
    assert.equal(headers.get("cache-control"), "no-store")
    const policy = headers.get("content-security-policy")!
    assert.match(policy, /^default-src 'none'; style-src 'self';.*form-action 'self'.*frame-ancestors 'none'/)
    assert.doesNotMatch(policy, /unsafe/)
    assert.doesNotMatch(body, /<script|<style| style=| on\w+=/)
    assert.match(body, /<html lang="en">/)
    assert.match(body, /name="viewport"/)
    for (const [, id] of body.matchAll(/<input id="(\w+)"/g)) assert.match(body, new RegExp(`<label for="${id}">`))
  }
  const style = await browser.get("/auth/style.css")
  assert.match(style.headers.get("content-type")!, /^text\/css/)
  const again = await browser.get("/auth/style.css", { "if-none-match": style.headers.get("etag")! })
  assert.equal(again.status, 304)
})
