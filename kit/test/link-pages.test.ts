// @together
/** The pages of forgotten passwords and of verified addresses, without JavaScript. */
import assert from "node:assert/strict"
import { type TestContext, test } from "node:test"
import { type TestApp, testApp } from "trestle/testing"
import { Browser, person } from "./browser.ts"
import { type BrowserPage, openBrowser, withoutChromium } from "./chromium.ts"
import { expireLinks, pathIn, sentNow, tokenIn } from "./links.ts"
import { sampleApp } from "./sample/app.ts"

const app = sampleApp(() => {})
const start = (t: TestContext, env: Record<string, string> = {}) => testApp(t, app, { env })

const isForm = { "content-type": "application/x-www-form-urlencoded" }
const send = (browser: Browser, path: string, fields: Record<string, string>, headers: Record<string, string> = {}) =>
  browser.post(path, new URLSearchParams(fields).toString(), { ...isForm, ...headers })

const { email, password } = person("anna")
const fresh = "Another horse 9"

async function linkTo(made: TestApp): Promise<string> {
  await made.visitor.post("/api/password/forgot", { email })
  return pathIn((await sentNow(made))[0])
}

test("who forgot the password asks for a link on a page, which says the same of every address", async (t) => {
  const made = await start(t)
  await new Browser(made.url).post("/api/signup", person("anna"))
  const browser = new Browser(made.url)
  assert.match((await browser.get("/auth/login")).body, /<a href="\/auth\/forgot">Forgot your password\?<\/a>/)
  assert.match((await browser.get("/auth/forgot")).body, /<form method="post" action="\/auth\/forgot">/)
  const known = await send(browser, "/auth/forgot", { email })
  const unknown = await send(browser, "/auth/forgot", { email: "nobody@example.com" })
  assert.equal(known.status, 200)
  assert.deepEqual([known.status, known.body], [unknown.status, unknown.body])
  assert.match(known.body, /If the address has an account/)
  assert.equal((await sentNow(made)).length, 1)

  const wrong = await send(browser, "/auth/forgot", { email: '"><script>' })
  assert.equal(wrong.status, 400)
  assert.match(wrong.body, /<p id="problem-email"><a href="#email">Write your e-mail address/)
  assert.doesNotMatch(wrong.body, /<script/)
  for (let i = 0; i < 4; i++) await send(browser, "/auth/forgot", { email })
  const last = await send(browser, "/auth/forgot", { email })
  assert.equal(last.status, 429)
  assert.match(last.body, /Too many mails were asked for/)
  assert.ok(Number(last.headers.get("retry-after")) > 0)
})

test("the link leads to a form for the new password, and looking at it uses nothing up", async (t) => {
  const made = await start(t)
  await new Browser(made.url).post("/api/signup", person("anna"))
  const path = await linkTo(made)
  const browser = new Browser(made.url)
  // What a mail program does that looks behind links.
  for (let i = 0; i < 3; i++) assert.equal((await browser.get(path)).status, 200)
  assert.equal((await browser.call("HEAD", path)).status, 200)
  const page = await browser.get(path)
  const token = /name="token" value="([\w-]{43})"/.exec(page.body)![1]!
  assert.match(page.body, /anna@example\.com/)
  assert.match(page.body, /<input id="password"[^>]* autocomplete="new-password"/)

  const weak = await send(browser, "/auth/reset", { token, password: "password12", email })
  assert.equal(weak.status, 400)
  assert.match(weak.body, /<p id="problem-password"><a href="#password">The password is one of the first/)
  assert.match(weak.body, new RegExp(`name="token" value="${token}"`))
  assert.doesNotMatch(weak.body, /password12/)
  assert.equal((await send(browser, "/auth/reset", { token })).status, 400)
  const done = await send(browser, "/auth/reset", { token, password: fresh, email })
  assert.equal(done.status, 200)
  assert.match(done.body, /<h1>The password is changed<\/h1>[\s\S]*href="\/auth\/login"/)
  assert.equal(browser.cookies.size, 0)
  assert.equal((await browser.post("/api/login", { email, password: fresh })).status, 200)

  for (const used of [await browser.get(path), await send(browser, "/auth/reset", { token, password: fresh })]) {
    assert.equal(used.status, 400)
    assert.match(used.body, /<h1>This link does not count<\/h1>[\s\S]*<a class="button" href="\/auth\/forgot">/)
    assert.doesNotMatch(used.body, new RegExp(token))
  }
})

test("the link to an address leads to a form that verifies it", async (t) => {
  const made = await start(t, { ACCOUNTS_VERIFY_EMAIL: "required" })
  const browser = new Browser(made.url)
  const signup = await send(browser, "/auth/signup", { ...person("anna"), company: "" })
  assert.deepEqual([signup.status, browser.cookies.size], [200, 0])
  assert.match(signup.body, /<h1>Look into your mail<\/h1>\s*<p>The account is made\. Open the link/)
  const path = pathIn((await sentNow(made))[0])
  const early = await send(browser, "/auth/login", { email, password })
  assert.equal(early.status, 403)
  assert.match(early.body, /Your e-mail address is not verified yet/)
  const [again] = await sentNow(made)
  assert.match((await browser.get(path)).body, /This link does not count/)

  const page = await browser.get(pathIn(again))
  assert.match(page.body, /was made with the address <strong>anna@example\.com<\/strong>\. Is it your account\?/)
  const token = tokenIn(again)
  const done = await send(browser, "/auth/verify", { token })
  assert.equal(done.status, 200)
  assert.match(done.body, /<h1>The address is verified<\/h1>/)
  const used = await send(browser, "/auth/verify", { token })
  assert.equal(used.status, 400)
  assert.match(used.body, /This link does not count[\s\S]*href="\/auth\/login"/)
  assert.equal((await send(browser, "/auth/login", { email, password })).status, 303)
})

test("what is no link is told so, as that of another kind and an old one are", async (t) => {
  const made = await start(t)
  await new Browser(made.url).post("/api/signup", person("anna"))
  const path = await linkTo(made)
  const browser = new Browser(made.url)
  const token = new URL(path, made.url).searchParams.get("token")!
  const dead = (await browser.get("/auth/reset?token=x")).body
  for (const query of [
    "",
    "?token=",
    "?token=a&token=b",
    `?token=${token}x`,
    `?token=${"x".repeat(5000)}`,
    "?token[]=a",
  ]) {
    const { status, body } = await browser.get(`/auth/reset${query}`)
    assert.deepEqual([status, body], [400, dead], query)
  }
  assert.equal((await browser.get(`/auth/verify?token=${token}`)).status, 400)
  assert.equal((await send(browser, "/auth/verify", { token })).status, 400)
  await expireLinks(made)
  assert.equal((await browser.get(path)).status, 400)
  assert.equal((await send(browser, "/auth/reset", { token, password: fresh })).status, 400)
  for (const body of ["token=a&token=b", "token=%00", "x=y", ""]) {
    for (const path of ["/auth/reset", "/auth/verify"]) {
      assert.equal((await browser.post(path, body, isForm)).status, 400, body)
    }
  }
  assert.equal((await browser.post("/auth/reset", { token, password: fresh })).status, 415)
})

test("a page with a secret in its address tells it to nobody, and is kept by nobody", async (t) => {
  const made = await start(t)
  await new Browser(made.url).post("/api/signup", person("anna"))
  const path = await linkTo(made)
  const browser = new Browser(made.url)
  const answers = [
    await browser.get(path),
    await browser.get("/auth/reset?token=x"),
    await browser.get("/auth/verify?token=x"),
    await send(browser, "/auth/verify", { token: "x" }),
    await send(browser, "/auth/reset", { token: tokenOf(path), password: "short" }),
    await send(browser, "/auth/reset", { token: tokenOf(path), password: fresh }),
  ]
  for (const { headers, body } of answers) {
    assert.equal(headers.get("referrer-policy"), "no-referrer")
    assert.equal(headers.get("cache-control"), "no-store")
    assert.match(headers.get("content-security-policy")!, /^default-src 'none'; style-src 'self'/)
    assert.doesNotMatch(body, /<script|<style| style=| on\w+=|https?:\/\//)
  }

  function tokenOf(path: string): string {
    return new URL(path, made.url).searchParams.get("token")!
  }
})

test("a browser that tells no origin sends these forms all the same, and another site's page no other", async (t) => {
  const made = await start(t)
  await new Browser(made.url).post("/api/signup", person("anna"))
  const browser = new Browser(made.url)
  // By the policy of these pages browsers say so; over plain HTTP they say nothing besides.
  const hidden = { origin: "null" }
  const path = await linkTo(made)
  const token = new URL(path, made.url).searchParams.get("token")!
  for (const headers of [{ origin: "https://evil.example" }, { ...hidden, "sec-fetch-site": "cross-site" }]) {
    assert.equal((await send(browser, "/auth/reset", { token, password: fresh }, headers)).status, 403)
    assert.equal((await send(browser, "/auth/verify", { token }, headers)).status, 403)
    assert.equal((await send(browser, "/auth/forgot", { email }, headers)).status, 403)
  }
  assert.equal((await send(browser, "/auth/forgot", { email }, hidden)).status, 403)
  assert.equal((await send(browser, "/auth/login", { email, password }, hidden)).status, 403)
  assert.equal((await send(browser, "/auth/verify", { token }, hidden)).status, 400, "no link of this kind")
  assert.equal((await send(browser, "/auth/reset", { token, password: fresh }, hidden)).status, 200)
})

/** Does what leads to another page, and waits until that is there. */
async function follow(page: BrowserPage, action: string): Promise<void> {
  await page.evaluate(`window.isOld = true; setTimeout(() => { ${action} })`)
  for (;;) {
    try {
      return await page.until("!window.isOld && document.readyState === 'complete'")
    } catch (error) {
      // The page that was asked went away meanwhile.
      if (!/navigated|context/i.test((error as Error).message)) throw error
    }
  }
}

test("in a browser somebody who forgot the password logs in with a new one", { skip: withoutChromium }, async (t) => {
  const page = await openBrowser(t)
  const made = await start(t)
  const { url } = made
  await new Browser(url).post("/api/signup", person("anna"))
  const folder = process.env.SCREENSHOTS
  const shoot = async (name: string) => {
    if (!folder) return
    for (const isDark of [false, true]) {
      await page.screenshot(`${folder}/${name}-desktop${isDark ? "-dark" : ""}.png`, 1280, 800, { isDark })
      await page.screenshot(`${folder}/${name}-phone${isDark ? "-dark" : ""}.png`, 320, 640, { isDark, isWhole: true })
    }
  }
  const heading = () => page.evaluate("document.querySelector('h1').textContent")
  const fill = (id: string, value: string) =>
    page.evaluate(`document.getElementById("${id}").value = ${JSON.stringify(value)}`)
  const submit = () => follow(page, "document.querySelector('main button').click()")

  await page.open(`${url}/auth/login`)
  await shoot("login")
  await follow(page, "document.querySelector('a[href=\"/auth/forgot\"]').click()")
  await shoot("forgot")
  await fill("email", email)
  await submit()
  assert.equal(await heading(), "Look into your mail")
  await shoot("forgot-sent")
  await page.open(url + pathIn((await sentNow(made))[0]))
  await shoot("reset")
  await fill("password", "password12")
  await submit()
  assert.match(await page.evaluate("document.querySelector('#problem').textContent"), /one of the first/)
  await shoot("reset-wrong")
  await fill("password", fresh)
  await submit()
  assert.equal(await heading(), "The password is changed")
  await follow(page, "document.querySelector('a.button').click()")
  await fill("email", email)
  await fill("password", fresh)
  await submit()
  assert.equal(await page.evaluate("document.referrer.includes('token')"), false)

  await made.person("editor", "bert").post("/api/me/email/verify")
  await page.open(url + pathIn((await sentNow(made))[0]))
  await shoot("verify")
  assert.equal(await heading(), "Verify your e-mail address")
  await submit()
  assert.equal(await heading(), "The address is verified")
  await page.open(`${url}/auth/reset?token=x`)
  await shoot("dead-link")
  for (const path of ["/auth/forgot", "/auth/reset?token=x"]) {
    await page.open(url + path)
    await page.screenshot("/dev/null", 320, 640)
    assert.equal(await page.evaluate("document.documentElement.scrollWidth"), 320, `${path} scrolls sideways`)
  }
  assert.deepEqual(
    page.complaints.filter((it) => !/status of 400|status of 404/.test(it)),
    [],
  )
})
