// @together
/** Whose account it is that somebody gets into who comes from a provider, GitHub among them. */
import assert from "node:assert/strict"
import { type TestContext, test } from "node:test"
import { sql } from "trestle"
import { testApp } from "trestle/testing"
import { Browser, person } from "./browser.ts"
import { client, Github, OpenidProvider, signIn, wayBack } from "./openid-provider.ts"
import { sampleApp } from "./sample/app.ts"

const app = sampleApp(() => {})
const anna = { sub: "anna-1", email: "anna@example.com", email_verified: true, name: "Anna Maria Miller" }
const octocat = { id: 583231, login: "octocat", name: "Anna Miller" }
const annasEmails = [
  { email: "old@example.com", primary: false, verified: true },
  { email: "Anna@Example.com", primary: true, verified: true },
]

async function start(t: TestContext, env: Record<string, string> = {}) {
  const provider = new OpenidProvider()
  const github = new Github()
  await Promise.all([provider.listen(t), github.listen(t)])
  Object.assign(provider, { person: anna })
  Object.assign(github, { person: octocat, emails: annasEmails })
  const settings = {
    OIDC_ISSUER: provider.url,
    OIDC_CLIENT_ID: client.id,
    OIDC_CLIENT_SECRET: client.secret,
    OIDC_NAME: "Company login",
    GITHUB_CLIENT_ID: client.id,
    GITHUB_CLIENT_SECRET: client.secret,
    GITHUB_URL: github.url,
    ...env,
  }
  const started = await testApp(t, app, { env: settings })
  const count = async (table: string) =>
    (await sql`select 1 from ${sql.table(`trestle.${table}`)}`.execute(started.db)).rows.length
  return { provider, github, count, ...started }
}

const withGithub = "/auth/sign-in/github"
const textOf = ({ status, body }: { status: number; body: string }) =>
  `${status} ${/<h1>.*<\/h1>\s*<p>([^<]*)/.exec(body)?.[1]}`
const idOf = async (browser: Browser) => (await browser.get("/api/me")).body.me?.id

/** An account with a password, whose address nobody has verified. */
async function signedUp(url: string, name = "anna"): Promise<Browser> {
  const browser = new Browser(url)
  assert.equal((await browser.post("/api/signup", person(name))).status, 201)
  return browser
}

test("an account of the same address is opened once both sides have verified it", async (t) => {
  const { url, db, count } = await start(t)
  const owner = await signedUp(url)
  await sql`update trestle.users set verified = now()`.execute(db)
  for (const way of ["/auth/sign-in/oidc", withGithub]) {
    const browser = new Browser(url)
    assert.equal((await signIn(browser, way)).status, 303)
    assert.equal(await idOf(browser), await idOf(owner), way)
  }
  assert.deepEqual([await count("users"), await count("identities")], [1, 2])
  const { email, password } = person("anna")
  assert.equal((await new Browser(url).post("/api/login", { email, password })).status, 200, "the password stays")
})

test("whoever comes for the first time is greeted as after a signup, and has a verified address", async (t) => {
  const provider = new OpenidProvider()
  await provider.listen(t)
  provider.person = anna
  const greeted: string[] = []
  let isBroken = true
  const greeting = sampleApp(() => {}, {
    async onSignup({ user, tx }) {
      await sql`select 1 from trestle.users where id = ${user.id}`.execute(tx)
      if (isBroken) throw new Error("no greeting")
      greeted.push(user.email)
    },
  })
  const settings = { OIDC_ISSUER: provider.url, OIDC_CLIENT_ID: client.id, OIDC_CLIENT_SECRET: client.secret }
  const { url, db } = await testApp(t, greeting, { env: { ...settings, ACCOUNTS_VERIFY_EMAIL: "required" } })
  assert.equal((await signIn(new Browser(url), "/auth/sign-in/oidc")).status, 500)
  assert.equal((await sql`select 1 from trestle.users`.execute(db)).rows.length, 0, "neither is there")
  isBroken = false
  for (let i = 0; i < 2; i++) assert.equal((await signIn(new Browser(url), "/auth/sign-in/oidc")).status, 303)
  assert.deepEqual(greeted, [anna.email])
})

test("who has made an account with somebody's address does not share it with them", async (t) => {
  const { url, count, log } = await start(t)
  await signedUp(url)
  const browser = new Browser(url)
  const answer = await signIn(browser)
  assert.match(
    textOf(answer),
    /^400 There is an account with your e-mail address already.* Log in with its password first/,
  )
  assert.match(answer.body, /href="\/auth\/login\?next=\/auth\/login">Log in with the password/)
  assert.equal(browser.cookies.has("session"), false)
  assert.equal(await count("identities"), 0)
  assert.match(log.at(-1)!, /the address of account [\w-]{36} is not verified here/)
})

test("who logs in with the password first adds a provider of the same address", async (t) => {
  const { url, db, count } = await start(t)
  const owner = await signedUp(url)
  assert.match(
    (await owner.get("/auth/login")).body,
    /href="\/auth\/sign-in\/github\?next=%2Fauth%2Flogin">Continue with GitHub/,
  )
  assert.equal((await signIn(owner, withGithub)).status, 303)
  const { rows } = await sql`select 1 from trestle.users where verified is not null`.execute(db)
  assert.deepEqual([rows.length, await count("users"), await count("identities")], [1, 1, 1])
  const elsewhere = new Browser(url)
  await signIn(elsewhere, withGithub)
  assert.equal(await idOf(elsewhere), await idOf(owner))
})

test("while one is logged in another address is neither added nor made an account of", async (t) => {
  const { url, count, provider } = await start(t)
  const bert = await signedUp(url, "bert")
  const id = await idOf(bert)
  assert.match(textOf(await signIn(bert)), /^400 Your account has another e-mail address than Company login tells/)
  assert.deepEqual([await idOf(bert), await count("users"), await count("identities")], [id, 1, 0])
  // Not even where somebody else is known by it.
  await signIn(new Browser(url))
  provider.person = { ...anna, sub: "anna-2" }
  await signIn(bert)
  assert.notEqual(await idOf(bert), id, "it is anna's account, whose address both have verified")
  assert.equal(await count("users"), 2)
})

test("an address that the provider has not verified opens nothing, and tells nothing of accounts", async (t) => {
  const { url, provider, github, count, db } = await start(t)
  const refusals = async () => {
    const answers: string[] = []
    for (const email_verified of [false, undefined, "false", 1, "yes"]) {
      provider.person = { ...anna, email_verified }
      answers.push(textOf(await signIn(new Browser(url))))
    }
    github.emails = [{ email: "anna@example.com", primary: true, verified: false }, annasEmails[0]]
    answers.push(textOf(await signIn(new Browser(url), withGithub)))
    return answers
  }
  const without = await refusals()
  await signedUp(url)
  await sql`update trestle.users set verified = now()`.execute(db)
  assert.deepEqual(await refusals(), without)
  assert.equal(new Set(without.slice(0, 5)).size, 1)
  assert.match(without[0]!, /^400 Company login has not verified your e-mail address. Verify it there/)
  assert.match(without[5]!, /^400 GitHub has not verified your e-mail address/)
  assert.deepEqual([await count("users"), await count("identities")], [1, 0])
})

test("whether an address is verified is asked of whoever tells the address", async (t) => {
  const { url, provider } = await start(t)
  const { email, email_verified, ...rest } = anna
  const attempt = async (inToken: object, userinfo: Record<string, unknown>) => {
    Object.assign(provider, { person: { ...rest, ...inToken }, userinfo })
    return (await signIn(new Browser(url))).status
  }
  const other = { email: "other@example.com" }
  assert.equal(await attempt({ email_verified }, other), 400)
  assert.equal(await attempt({ email }, { ...other, email_verified: false }), 400)
  assert.equal(await attempt({ email, email_verified: false }, { ...other, email_verified }), 400)
  assert.equal(await attempt({ email }, {}), 400)
  assert.equal(await attempt({ email }, { email, email_verified, sub: "somebody else" }), 502)
  assert.equal(await attempt({}, { email, email_verified }), 303)
  const more = { email: "new@example.com", email_verified }
  assert.equal(await attempt({ sub: "anna-2", email: "new@example.com" }, more), 303)
})

test("a provider that is trusted need not say that it has verified an address", async (t) => {
  const { url, provider } = await start(t, { OIDC_TRUST_EMAIL: "true" })
  const { email_verified, ...silent } = anna
  provider.person = silent
  assert.equal((await signIn(new Browser(url))).status, 303)
})

test("without an address there is no account", async (t) => {
  const { url, provider, github, count } = await start(t)
  for (const email of [undefined, "", "anna", "anna@", 7, `${"a".repeat(250)}@example.com`, "anna@example.com\0"]) {
    provider.person = { ...anna, email }
    assert.match(
      textOf(await signIn(new Browser(url))),
      /^400 Company login does not tell your e-mail address/,
      String(email),
    )
  }
  github.emails = [annasEmails[0]]
  assert.match(textOf(await signIn(new Browser(url), withGithub)), /^400 GitHub does not tell/)
  assert.equal(await count("users"), 0)
})

test("a disabled account is let in nowhere, known to the provider or not", async (t) => {
  const { url, db, count } = await start(t)
  await signIn(new Browser(url))
  await sql`update trestle.users set disabled = true`.execute(db)
  for (const way of ["/auth/sign-in/oidc", withGithub]) {
    const browser = new Browser(url)
    assert.match(textOf(await signIn(browser, way)), /^403 This account is disabled/)
    assert.equal(browser.cookies.has("session"), false)
  }
  assert.deepEqual([await count("users"), await count("identities")], [1, 1])
})

test("where signup is off a provider makes no accounts, and opens those that are there", async (t) => {
  const { url, db, as, count } = await start(t, { ACCOUNTS_SIGNUP: "false" })
  assert.match(textOf(await signIn(new Browser(url))), /^403 There is no account with your e-mail address/)
  assert.equal(await count("users"), 0)
  await sql`
    insert into trestle.users (email, first_name, last_name, role, verified)
    values ('ANNA@example.com', 'Anna', 'Miller', 'readonly', now())`.execute(db)
  const browser = new Browser(url)
  assert.equal((await signIn(browser)).status, 303)
  assert.equal((await browser.get("/api/me")).body.me.role, "readonly")
  assert.equal((await as("superuser").get("/api/users")).body.length, 1)
})

test("answers that come at once for one person, or one address, make one account", async (t) => {
  const { url, count } = await start(t)
  const browsers = Array.from({ length: 8 }, () => new Browser(url))
  const paths = await Promise.all(
    browsers.map((browser, at) => wayBack(browser, at % 2 ? withGithub : "/auth/sign-in/oidc")),
  )
  const answers = await Promise.all(browsers.map((browser, at) => browser.get(paths[at]!)))
  assert.deepEqual(answers.map(textOf), Array(8).fill("303 undefined"))
  assert.equal(new Set(await Promise.all(browsers.map(idOf))).size, 1)
  assert.deepEqual([await count("users"), await count("identities")], [1, 2])
})

test("the same subject of another provider is another person", async (t) => {
  const other = new OpenidProvider()
  await other.listen(t)
  other.person = { ...anna, email: "other@example.com" }
  const more = { id: "other", name: "Other", issuer: other.url, client_id: client.id, client_secret: client.secret }
  const { url, count } = await start(t, { SIGN_IN_PROVIDERS: JSON.stringify([more]) })
  const [first, second] = [new Browser(url), new Browser(url)]
  await signIn(first)
  await signIn(second, "/auth/sign-in/other")
  assert.notEqual(await idOf(first), await idOf(second))
  assert.equal(await count("users"), 2)
})

test("a login with a provider gives a new token and ends the session before it", async (t) => {
  const { url } = await start(t)
  const browser = new Browser(url)
  await signIn(browser)
  const old = browser.cookies.get("session")!
  await signIn(browser)
  assert.notEqual(browser.cookies.get("session"), old)
  const stolen = new Browser(url)
  stolen.cookies.set("session", old)
  assert.equal((await stolen.get("/api/me")).status, 401)
})

test("names are taken as far as they can be, and the address stands in for none", async (t) => {
  const { url, provider } = await start(t)
  let number = 0
  const namesOf = async (claims: object) => {
    const email = `person${++number}@example.com`
    provider.person = { sub: email, email, email_verified: true, ...claims }
    const browser = new Browser(url)
    await signIn(browser)
    const { first_name, last_name } = (await browser.get("/api/me")).body.me
    return [first_name, last_name]
  }
  assert.deepEqual(await namesOf({ name: "Anna Maria Miller" }), ["Anna", "Maria Miller"])
  assert.deepEqual(await namesOf({ given_name: " Anna\0\n", family_name: "\ud800" }), ["Anna", "\ufffd"])
  assert.deepEqual(await namesOf({ name: "Plato" }), ["Plato", ""])
  assert.deepEqual(await namesOf({ given_name: 7, family_name: "x".repeat(300) }), ["", "x".repeat(100)])
  assert.deepEqual(await namesOf({ name: " " }), ["person5", ""])
})

test("GitHub is asked for the primary address, with PKCE, and knows a person by the number", async (t) => {
  const { url, github } = await start(t)
  github.moreInAnswer = { iss: "https://github.com/login/oauth" }
  const browser = new Browser(url)
  assert.equal((await signIn(browser, withGithub)).status, 303)
  const { me } = (await browser.get("/api/me")).body
  assert.deepEqual([me.email, me.fullname], ["Anna@Example.com", "Anna Miller"])
  assert.equal(github.asked.get("scope"), "read:user user:email")
  assert.deepEqual([github.asked.get("code_challenge_method"), github.clientBy], ["S256", "body"])

  // The login is somebody else's by now.
  github.person = { id: 999, login: "octocat", name: null }
  github.emails = [{ email: "new@example.com", primary: true, verified: true }]
  const other = new Browser(url)
  await signIn(other, withGithub)
  const { me: second } = (await other.get("/api/me")).body
  assert.notEqual(second.id, me.id)
  assert.equal(second.fullname, "octocat")
})

test("what GitHub refuses or cannot say is told, and logged without its tokens", async (t) => {
  const { url, github, log } = await start(t)
  const browser = new Browser(url)
  const state = new URL(await wayBack(browser, withGithub), url).searchParams.get("state")
  const callback = (query: string) => browser.get(`${withGithub}/callback?state=${state}&${query}`)
  assert.match(textOf(await callback("code=used")), /^400 What GitHub answered does not fit/)
  assert.match(textOf(await callback("code=used")), /^400 This login was not begun/)
  for (const [path, status] of [
    ["/api/v3/user/emails", 403],
    ["/api/v3/user", 500],
    ["/login/oauth/access_token", 500],
  ] as const) {
    github.override = (asked, response) => asked === path && Boolean(response.writeHead(status).end())
    assert.match(textOf(await signIn(new Browser(url), withGithub)), /^502 GitHub/)
    assert.match(log.at(-1)!, new RegExp(`Signing in with GitHub failed.*${status}`))
  }
  github.override = (asked, response) =>
    asked === "/api/v3/user" && Boolean(response.writeHead(200).end('{"id":"1","login":"x"}'))
  assert.match(textOf(await signIn(new Browser(url), withGithub)), /^502 GitHub did not say who you are/)
  assert.doesNotMatch(log.join(""), /gho_/)
})

test("people see which providers open their account, and let one go as long as another way remains", async (t) => {
  const { url, db, count } = await start(t)
  const browser = new Browser(url)
  assert.equal((await signIn(browser)).status, 303)
  const identities = async () => (await browser.get("/api/me/identities")).body
  const remove = async (provider: string) => {
    const { status, body } = await browser.delete(`/api/me/identities/${encodeURIComponent(provider)}`)
    return status === 200 ? status : `${status} ${body.detail}`
  }
  const [first, ...others] = await identities()
  assert.deepEqual([first.provider, others], ["oidc", []])
  assert.ok(Math.abs(Date.parse(first.since) - Date.now()) < 60_000)

  const onlyWay = /^409 This is the only way to log in to the account\. Set a password first/
  assert.match(String(await remove("oidc")), onlyWay)
  assert.match(String(await remove("github")), /^404/)

  // A provider that the settings no longer name is no way.
  const former = "https://former.example"
  await sql`insert into trestle.identities (provider, subject, user_id)
    select ${former}, 'anna', id from trestle.users`.execute(db)
  assert.deepEqual(
    (await identities()).map(({ provider }: { provider: string }) => provider),
    ["oidc", former],
  )
  assert.match(String(await remove("oidc")), onlyWay)
  assert.equal(await remove(former), 200)

  assert.equal((await signIn(browser, withGithub)).status, 303)
  assert.equal(await count("identities"), 2)
  // Of two at once one is left.
  const both = await Promise.all([remove("oidc"), remove("github")])
  assert.equal(both.filter((status) => status === 200).length, 1)
  assert.equal(await count("identities"), 1)

  const password = "a passphrase of hers"
  assert.equal((await browser.post("/api/me/password", { new_password: password })).status, 200)
  const [{ provider }] = await identities()
  assert.equal(await remove(provider), 200)
  assert.deepEqual(await identities(), [])
  assert.equal((await new Browser(url).post("/api/login", { email: anna.email, password })).status, 200)
})

test("nobody sees or removes what opens another's account, and an API key has none", async (t) => {
  const { url, as, count } = await start(t)
  const browser = new Browser(url)
  await signIn(browser)
  const other = await signedUp(url, "bert")
  assert.deepEqual((await other.get("/api/me/identities")).body, [])
  assert.equal((await other.delete("/api/me/identities/oidc")).status, 404)
  assert.equal(await count("identities"), 1)
  assert.equal((await as("admin").get("/api/me/identities")).status, 403)
})
