// @together
/** What a provider can do wrong, and what the log says of it. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { SignInFailure } from "../src/auth/sign-in/failure.ts"
import { openidProvider } from "../src/auth/sign-in/openid.ts"
import { Browser } from "./browser.ts"
import { client, OpenidProvider, signIn, wayBack } from "./openid-provider.ts"
import { notFitting, refused, type Started, start } from "./sign-in-app.ts"

test("who is not let in by the provider reads so, and what it says otherwise is its trouble", async (t) => {
  const { url, log } = await start(t)
  const back = async (query: string) => {
    const browser = new Browser(url)
    const state = new URL(await wayBack(browser), url).searchParams.get("state")
    return refused(browser, await browser.get(`/auth/sign-in/oidc/callback?state=${state}&${query}`))
  }
  assert.match(await back("error=access_denied"), /^400 Single sign-on did not let you in/)
  assert.match(await back("error=server_error&error_description=a%0A[b]"), /^502 Single sign-on could not do it now/)
  assert.match(log.at(-1)!, /^[^\n]*Signing in with Single sign-on failed .*server_error.*a\\n\[b\]\n$/)
  assert.equal(await back("code=made-up"), notFitting)
  assert.equal(await back(""), notFitting)
})

test("a provider that is away stops neither the boot nor other logins, and is asked anew", async (t) => {
  const started = await start(t)
  const { url, provider, log } = started
  const port = Number(new URL(provider.url).port)
  await provider.close()
  const browser = new Browser(url)
  const unreachable = /^502 Single sign-on cannot be reached. Try again soon, or log in another way.$/
  assert.match(await refused(browser, await browser.get("/auth/sign-in/oidc")), unreachable)
  assert.match(log.at(-1)!, /Signing in with Single sign-on failed from 127\.0\.0\.1 \(.*\): .*ECONNREFUSED/)
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
  assert.match(await refused(browser, await browser.get("/auth/sign-in/oidc")), /^502 Single sign-on answered in a way/)
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
    response.writeHead(200, { "content-type": "application/json" }).end('{"a": s3cr3t}')
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
    "s3cr3t",
  ]) {
    assert.ok(!lines.includes(secret), secret)
  }
})
