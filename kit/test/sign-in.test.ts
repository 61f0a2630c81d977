/** Signing in with an OpenID Connect provider: the way there and back, and everything that can be wrong on it. */
import assert from "node:assert/strict"
import { type TestContext, test } from "node:test"
import { sql } from "trestle"
import { testApp } from "trestle/testing"
import { SignInFailure } from "../src/auth/sign-in/failure.ts"
import { openidProvider } from "../src/auth/sign-in/openid.ts"
import { Browser } from "./browser.ts"
import { client, OpenidProvider, signIn, wayBack } from "./openid-provider.ts"
import { sampleApp } from "./sample/app.ts"

const app = sampleApp(() => {})
const anna = {
  sub: "anna-1",
  email: "anna@example.com",
  email_verified: true,
  given_name: "Anna",
  family_name: "Miller",
}

async function start(t: TestContext, env: Record<string, string> = {}) {
  const provider = new OpenidProvider()
  await provider.listen(t)
  provider.person = anna
  const settings = { OIDC_ISSUER: provider.url, OIDC_CLIENT_ID: client.id, OIDC_CLIENT_SECRET: client.secret, ...env }
  return { provider, ...(await testApp(t, app, { env: settings })) }
}

type Started = Awaited<ReturnType<typeof start>>

/** What was refused: its status and its sentence; nobody is logged in by it. */
async function refused(browser: Browser, answer: Awaited<ReturnType<Browser["get"]>>): Promise<string> {
  assert.equal(browser.cookies.has("session"), false)
  assert.equal(answer.headers.get("cache-control"), "no-store")
  assert.match(answer.body, /<a class="button" href="\/auth\/login/)
  return `${answer.status} ${/<h1>.*<\/h1>\s*<p>([^<]*)/.exec(answer.body)?.[1]}`
}

const notFitting = "400 What single sign-on answered does not fit this login. Begin again."
const notBegun =
  "400 This login was not begun in this browser, is used already, or took longer than ten minutes. Begin again."

test("who comes from a provider gets an account without a password, and the same one each time", async (t) => {
  const { url, db, provider } = await start(t)
  const browser = new Browser(url)
  const { status, headers, setCookies } = await signIn(browser, "/auth/sign-in/oidc?next=/api/list")
  assert.deepEqual([status, headers.get("location")], [303, "/api/list"])
  assert.match(setCookies.find((line) => line.startsWith("session="))!, /HttpOnly; SameSite=Lax; Max-Age=2592000/)
  const { me } = (await browser.get("/api/me")).body
  assert.deepEqual([me.email, me.first_name, me.last_name, me.role], [anna.email, "Anna", "Miller", "editor"])
  const { rows } = await sql<{ password: unknown; verified: unknown }>`
    select password, verified from trestle.users`.execute(db)
  assert.deepEqual([rows.length, rows[0]!.password, rows[0]!.verified !== null], [1, null, true])

  // It is the subject that counts: the address may become another's.
  provider.person = { ...anna, email: "a.miller@example.com", email_verified: false }
  const again = new Browser(url)
  assert.equal((await signIn(again)).headers.get("location"), "/")
  assert.equal((await again.get("/api/me")).body.me.id, me.id)
  const login = await new Browser(url).post("/api/login", { email: anna.email, password: "" })
  assert.equal(login.status, 400, "there is no password")
  assert.deepEqual((await sql`select * from trestle.sign_ins`.execute(db)).rows, [])
})

test("the way there has a state, a nonce and a PKCE challenge of its own, and the cookie is for ten minutes", async (t) => {
  const { url, provider, db } = await start(t)
  const seen = new Set<string>()
  const browser = new Browser(url)
  const { setCookies, headers } = await browser.get("/auth/sign-in/oidc")
  assert.match(setCookies[0]!, /^sign_in=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax; Max-Age=600$/)
  assert.equal(headers.get("cache-control"), "no-store")
  for (let i = 0; i < 2; i++) {
    await wayBack(browser)
    const { asked } = provider
    assert.equal(asked.get("scope"), "openid email profile")
    assert.equal(asked.get("code_challenge_method"), "S256")
    assert.equal(asked.get("redirect_uri"), `${url}/auth/sign-in/oidc/callback`)
    for (const name of ["state", "nonce", "code_challenge"]) {
      assert.match(asked.get(name)!, /^[\w-]{43}$/)
      seen.add(asked.get(name)!)
    }
  }
  assert.equal(seen.size, 6)
  const { rows } = await sql<{ row: string }>`select sign_ins::text as row from trestle.sign_ins`.execute(db)
  for (const secret of [...seen, browser.cookies.get("sign_in")!]) {
    assert.ok(!rows.some(({ row }) => row.includes(secret)), "nothing in the database finishes a sign-in")
  }
})

test("a browser can begin in several tabs, and finishes each", async (t) => {
  const { url } = await start(t)
  const browser = new Browser(url)
  const first = await wayBack(browser, "/auth/sign-in/oidc?next=/first")
  const second = await wayBack(browser, "/auth/sign-in/oidc?next=/second")
  assert.equal((await browser.get(first)).headers.get("location"), "/first")
  assert.equal((await browser.get(second)).headers.get("location"), "/second")
})

test("an answer counts once", async (t) => {
  const { url, db } = await start(t)
  const browser = new Browser(url)
  const path = await wayBack(browser)
  const together = await Promise.all([1, 2, 3].map(() => browser.get(path)))
  assert.deepEqual(together.map(({ status }) => status).sort(), [303, 400, 400])
  browser.cookies.delete("session")
  assert.equal(await refused(browser, await browser.get(path)), notBegun)
  assert.equal((await sql`select 1 from trestle.users`.execute(db)).rows.length, 1)
})

test("an answer counts only in the browser that asked for it", async (t) => {
  const { url, provider } = await start(t)
  const browser = new Browser(url)
  const attacker = new Browser(url)
  const attackers = await wayBack(attacker)
  const path = await wayBack(browser)

  // Sent to somebody who has begun nothing, and to somebody who has.
  assert.equal(await refused(new Browser(url), await new Browser(url).get(attackers)), notBegun)
  assert.equal(await refused(browser, await browser.get(attackers)), notBegun)
  // The answer of one with the state of the other.
  const swapped = new URL(path, url)
  swapped.searchParams.set("state", new URL(attackers, url).searchParams.get("state")!)
  assert.equal(await refused(browser, await browser.get(swapped.pathname + swapped.search)), notBegun)
  const injected = new URL(path, url)
  injected.searchParams.set("code", new URL(attackers, url).searchParams.get("code")!)
  assert.equal(await refused(browser, await browser.get(injected.pathname + injected.search)), notFitting, "PKCE")

  for (const change of ["state=x", "state=", "nothing=1"]) {
    const begun = await wayBack(browser)
    const query = `code=${new URL(begun, url).searchParams.get("code")}&${change}`
    assert.equal(await refused(browser, await browser.get(`/auth/sign-in/oidc/callback?${query}`)), notBegun)
  }
  const doubled = await wayBack(browser)
  assert.equal(await refused(browser, await browser.get(`${doubled}&state=x`)), notFitting)
  assert.ok(provider.requests.includes("POST /token"))
})

test("a cookie that was planted beside the own one is refused", async (t) => {
  const { url } = await start(t)
  const browser = new Browser(url)
  const path = await wayBack(browser)
  const cookie = `sign_in=${"A".repeat(43)}; sign_in=${browser.cookies.get("sign_in")}`
  assert.equal((await browser.get(path, { cookie })).status, 400)
})

test("a look at the way back does not use it up", async (t) => {
  const { url } = await start(t)
  const browser = new Browser(url)
  const path = await wayBack(browser)
  assert.equal((await browser.call("HEAD", path)).status, 405)
  assert.equal((await browser.get(path)).status, 303)
})

test("after ten minutes a login begins anew, and what was left is removed", async (t) => {
  const { url, db } = await start(t)
  const browser = new Browser(url)
  const path = await wayBack(browser)
  const left = await wayBack(browser)
  await sql`update trestle.sign_ins set expires = now() - interval '1 second'`.execute(db)
  assert.equal(await refused(browser, await browser.get(path)), notBegun)
  await wayBack(browser)
  assert.equal((await sql`select 1 from trestle.sign_ins`.execute(db)).rows.length, 1)
  assert.equal(await refused(browser, await browser.get(left)), notBegun)
})

test("a flood of begun logins fills no disk", async (t) => {
  const { url, db } = await start(t)
  await sql`
    insert into trestle.sign_ins (hash, provider, next, expires)
    select sha256(n::text::bytea), 'oidc', '/', now() + interval '10 minutes' from generate_series(1, 100000) as n`.execute(
    db,
  )
  const { status, body } = await new Browser(url).get("/auth/sign-in/oidc")
  assert.equal(status, 503)
  assert.match(body, /Too many people log in at once/)
  await sql`update trestle.sign_ins set expires = now() - interval '1 second'`.execute(db)
  await new Browser(url).get("/auth/sign-in/oidc")
  assert.equal((await signIn(new Browser(url))).status, 303)
})

test("the answer of one provider is not taken for another's", async (t) => {
  const other = new OpenidProvider()
  await other.listen(t)
  other.person = { ...anna, sub: "somebody else" }
  const more = { id: "other", name: "Other", issuer: other.url, client_id: client.id, client_secret: client.secret }
  const { url, provider } = await start(t, { SIGN_IN_PROVIDERS: JSON.stringify([more]) })
  const browser = new Browser(url)
  const path = await wayBack(browser)
  const mixedUp = path.replace("/oidc/", "/other/")
  assert.equal(await refused(browser, await browser.get(mixedUp)), notBegun)
  assert.equal(await refused(browser, await browser.get(`${await wayBack(browser)}&iss=${other.url}`)), notFitting)
  assert.equal(other.requests.filter((line) => line === "POST /token").length, 0, "it gets no code of the first")
  provider.moreInAnswer = { iss: provider.url }
  assert.equal((await signIn(browser)).status, 303)
  assert.equal(
    (await signIn(new Browser(url), "/auth/sign-in/other")).status,
    400,
    "its address is the first one's now",
  )
})

test("an ID token that is not the provider's, not for us, or not for this login lets nobody in", async (t) => {
  const { url, provider } = await start(t)
  const wrong: [string, Partial<OpenidProvider>][] = [
    ["nonce", { changedClaims: { nonce: "another" } }],
    ["no nonce", { changedClaims: { nonce: undefined } }],
    ["issuer", { changedClaims: { iss: "https://accounts.example.com" } }],
    ["audience", { changedClaims: { aud: "another client" } }],
    ["two audiences", { changedClaims: { aud: [client.id, "another"], azp: "another" } }],
    ["no subject", { changedClaims: { sub: undefined } }],
    ["signature", { signsWrongly: true }],
  ]
  for (const [what, change] of wrong) {
    Object.assign(provider, { changedClaims: {}, signsWrongly: false }, change)
    const browser = new Browser(url)
    assert.equal(await refused(browser, await signIn(browser)), notFitting, what)
  }
  Object.assign(provider, { changedClaims: {}, signsWrongly: false })
  assert.equal((await signIn(new Browser(url))).status, 303)
})

test("who is not let in by the provider reads so, and what it says otherwise is its trouble", async (t) => {
  const { url, log } = await start(t)
  const back = async (query: string) => {
    const browser = new Browser(url)
    const state = new URL(await wayBack(browser), url).searchParams.get("state")
    return refused(browser, await browser.get(`/auth/sign-in/oidc/callback?state=${state}&${query}`))
  }
  assert.match(await back("error=access_denied"), /^400 single sign-on did not let you in/)
  assert.match(await back("error=server_error&error_description=a%0A[b]"), /^502 single sign-on could not do it now/)
  assert.match(log.at(-1)!, /^[^\n]*Signing in with single sign-on failed .*server_error.*a\\n\[b\]\n$/)
  assert.equal(await back("code=made-up"), notFitting)
  assert.equal(await back(""), notFitting)
})

test("a provider that is away stops neither the boot nor other logins, and is asked anew", async (t) => {
  const started = await start(t)
  const { url, provider, log } = started
  const port = Number(new URL(provider.url).port)
  await provider.close()
  const browser = new Browser(url)
  const unreachable = /^502 single sign-on cannot be reached. Try again soon, or log in another way.$/
  assert.match(await refused(browser, await browser.get("/auth/sign-in/oidc")), unreachable)
  assert.match(log.at(-1)!, /Signing in with single sign-on failed from 127\.0\.0\.1 \(.*\): .*ECONNREFUSED/)
  assert.equal((await browser.get("/auth/login")).status, 200)

  await provider.listen(t, port)
  const path = await wayBack(browser)
  await provider.close()
  assert.match(await refused(browser, await browser.get(path)), unreachable)
  await provider.listen(t, port)
  assert.equal((await signIn(browser)).status, 303)
  await brokenAnswers(started)
})

async function brokenAnswers({ url, provider }: Started): Promise<void> {
  const answers: [string, number, string][] = [
    ["/token", 500, "{}"],
    ["/token", 200, "<html>"],
    ["/token", 302, ""],
    ["/token", 401, '{"error":"invalid_client"}'],
    // Its keys are asked for again, since the failure before made it forgotten.
    ["/jwks", 500, ""],
    ["/jwks", 200, '{"keys":[]}'],
    ["/.well-known/openid-configuration", 404, "{}"],
  ]
  for (const [path, status, text] of answers) {
    provider.override = (asked, response) => {
      if (asked !== path) return false
      response.writeHead(status, { "content-type": "application/json" }).end(text)
      return true
    }
    const browser = new Browser(url)
    const answer = path.includes("well-known") ? browser.get("/auth/sign-in/oidc") : signIn(browser)
    assert.match(await refused(browser, await answer), /^502 /, `${path} ${status} ${text}`)
  }
  provider.override = () => false
  assert.equal((await signIn(new Browser(url))).status, 303)
}

test("the discovery document is asked for once, and anew after a failure", async (t) => {
  const { url, provider } = await start(t)
  const discoveries = () => provider.requests.filter((line) => line.includes("well-known")).length
  await Promise.all([1, 2, 3].map(() => signIn(new Browser(url))))
  assert.equal(discoveries(), 1)
  provider.override = (path, response) => path === "/token" && Boolean(response.writeHead(500).end())
  await signIn(new Browser(url))
  provider.override = () => false
  await signIn(new Browser(url))
  assert.equal(discoveries(), 2)
})

test("a provider that does not answer is given up after some seconds", async (t) => {
  const provider = new OpenidProvider()
  await provider.listen(t)
  provider.override = () => true
  const settings = { id: "oidc", name: "Slow", issuer: provider.url, client_id: client.id, trust_email: false }
  const begun = openidProvider(settings, 0.05).begin({ state: "s", nonce: "n", verifier: "v" }, "http://127.0.0.1/")
  await assert.rejects(begun, (error: SignInFailure) => {
    assert.ok(error instanceof SignInFailure)
    assert.deepEqual([error.status, error.reason.includes("OAUTH_TIMEOUT")], [502, true])
    return true
  })
})

test("a provider that calls itself otherwise than its address is not asked for more", async (t) => {
  const { url, provider, log } = await start(t)
  provider.override = (path, response) => {
    if (!path.includes("well-known")) return false
    response.writeHead(200, { "content-type": "application/json" }).end('{"issuer":"https://accounts.example.com"}')
    return true
  }
  const browser = new Browser(url)
  assert.match(await refused(browser, await browser.get("/auth/sign-in/oidc")), /^502 single sign-on answered in a way/)
  assert.match(log.at(-1)!, /issuer does not match/)
})

test("the log has no code, no token and no secret", async (t) => {
  const { url, provider, log } = await start(t, { LOGGING_SLOW_AFTER: "1 ms" })
  const browser = new Browser(url)
  const path = await wayBack(browser)
  const { searchParams } = new URL(path, url)
  await browser.get(path)
  provider.signsWrongly = true
  await signIn(new Browser(url))
  provider.override = (asked, response) => {
    if (asked !== "/token") return false
    response.writeHead(200, { "content-type": "application/json" }).end('{"access_token": "token of anna-1", oops')
    return true
  }
  await signIn(new Browser(url))
  const lines = log.join("")
  assert.match(lines, /SLOW!/)
  assert.match(lines, /GET \/auth\/sign-in\/oidc\/callback\?\*\*\*/)
  for (const secret of [
    searchParams.get("code")!,
    searchParams.get("state")!,
    browser.cookies.get("sign_in")!,
    browser.cookies.get("session")!,
    client.secret,
    "token of",
  ]) {
    assert.ok(!lines.includes(secret), secret)
  }
})

test("behind a proxy that speaks TLS the way back is https, and the cookie is bound to the host", async (t) => {
  const { url, provider } = await start(t, { TRUSTED_PROXIES: "127.0.0.1" })
  const { setCookies } = await new Browser(url).get("/auth/sign-in/oidc", { "x-forwarded-proto": "https" })
  assert.match(setCookies[0]!, /^__Host-sign_in=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax; Secure; Max-Age=600$/)
  const browser = new Browser(url, { "x-forwarded-proto": "https" })
  const path = await wayBack(browser)
  assert.equal(provider.asked.get("redirect_uri"), `${url.replace("http:", "https:")}/auth/sign-in/oidc/callback`)
  assert.equal((await browser.get(path)).status, 303)
})

test("with a public URL the way back is there, whatever Host says", async (t) => {
  const { url, provider } = await start(t, { PUBLIC_URL: "https://api.example.com/" })
  const browser = new Browser(url)
  assert.equal((await signIn(browser)).status, 303)
  assert.equal(provider.asked.get("redirect_uri"), "https://api.example.com/auth/sign-in/oidc/callback")
})

test("with strict cookies a page of ours leads on, since the provider's page would not bring the cookie", async (t) => {
  const { url } = await start(t, { SESSION_SAME_SITE: "strict" })
  const browser = new Browser(url)
  const { status, body, setCookies } = await signIn(browser, "/auth/sign-in/oidc?next=/api/list%3Fa%3D%22")
  assert.equal(status, 200)
  assert.match(body, /<meta http-equiv="refresh" content="0;url=\/api\/list\?a=%22">/)
  assert.match(setCookies.find((line) => line.startsWith("session="))!, /SameSite=Strict/)
})

test("no link to the way there leads to another server afterwards", async (t) => {
  const { url } = await start(t)
  for (const next of ["//example.com", "https://example.com", "/%5Cexample.com/", "/%09/example.com"]) {
    const { headers } = await signIn(new Browser(url), `/auth/sign-in/oidc?next=${next}`)
    assert.equal(headers.get("location"), "/", next)
  }
})

test("the secret is sent as the provider takes it, and an address may stand at its userinfo endpoint", async (t) => {
  const inHeader = await start(t)
  inHeader.provider.authMethods = undefined
  assert.equal((await signIn(new Browser(inHeader.url))).status, 303)
  assert.equal(inHeader.provider.clientBy, "header")

  const { url, provider } = await start(t, { OIDC_CLIENT_SECRET: "" })
  const { email, email_verified, ...rest } = anna
  provider.userinfo = { email, email_verified: "true" }
  provider.person = rest
  const browser = new Browser(url)
  assert.equal((await signIn(browser)).status, 303)
  assert.equal(provider.clientBy, "nothing")
  assert.equal((await browser.get("/api/me")).body.me.email, email)
})
