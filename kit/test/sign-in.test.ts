// @together
/** Signing in with an OpenID Connect provider: the way there and back, and who may go it. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { sql } from "trestle"
import { Browser } from "./browser.ts"
import { client, OpenidProvider, signIn, wayBack } from "./openid-provider.ts"
import { anna, notBegun, notFitting, refused, start } from "./sign-in-app.ts"

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
  const { setCookies: begun } = await browser.get("/auth/sign-in/oidc")
  assert.match(begun[0]!, /^sign_in=.*SameSite=Lax/)
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
