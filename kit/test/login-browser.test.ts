/** The pages on which people log in, in a real browser: by form, and with a provider. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { testApp } from "trestle/testing"
import { person } from "./browser.ts"
import { type BrowserPage, openBrowser, withoutChromium } from "./chromium.ts"
import { client, OpenidProvider } from "./openid-provider.ts"
import { sampleApp } from "./sample/app.ts"

const app = sampleApp(() => {})
const { email, password, fname, lname } = person("anna")

const skip = withoutChromium
const folder = process.env.SCREENSHOTS

async function shoot(page: BrowserPage, name: string): Promise<void> {
  if (!folder) return
  for (const isDark of [false, true]) {
    await page.screenshot(`${folder}/${name}-desktop${isDark ? "-dark" : ""}.png`, 1280, 800, { isDark })
    await page.screenshot(`${folder}/${name}-phone${isDark ? "-dark" : ""}.png`, 320, 640, { isDark, isWhole: true })
  }
}

/** Waits until it is true, on whatever page the browser is by then. */
async function reach(page: BrowserPage, expression: string): Promise<void> {
  for (;;) {
    try {
      return await page.until(expression)
    } catch (error) {
      // The page that was asked went away meanwhile.
      if (!/navigated|context/i.test((error as Error).message)) throw error
    }
  }
}

/** Does what leads to another page, and waits until that is there. */
async function follow(page: BrowserPage, action: string): Promise<void> {
  await page.evaluate(`window.isOld = true; setTimeout(() => { ${action} })`)
  await reach(page, "!window.isOld && document.readyState === 'complete'")
}

// The pages have no script, and their policy lets none run: what works here works without JavaScript.
test("in a browser a person signs up, logs out, and logs in again", { skip }, async (t) => {
  const page = await openBrowser(t)
  const { url } = await testApp(t, app, {
    env: {
      GITHUB_CLIENT_ID: "id",
      GITHUB_CLIENT_SECRET: "secret",
      OIDC_ISSUER: "https://login.example.com",
      OIDC_CLIENT_ID: "id",
      OIDC_NAME: "Miller & Co",
    },
  })
  const fill = (fields: Record<string, string>) =>
    page.evaluate(
      Object.entries(fields)
        .map(([id, value]) => `document.getElementById("${id}").value = ${JSON.stringify(value)}`)
        .join("; "),
    )
  const submit = () => follow(page, "document.querySelector('main button').click()")
  const heading = () => page.evaluate("document.querySelector('h1').textContent")

  await page.open(`${url}/auth/login`)
  await shoot(page, "login")
  await fill({ email, password: "Something else 7" })
  await submit()
  // The browser moves the focus there in its own time.
  await page.until("document.activeElement.id === 'problem'")
  await shoot(page, "login-wrong")

  await page.open(`${url}/auth/signup?next=/auth/login`)
  await shoot(page, "signup")
  await fill({ fname, lname, email, password: "password" })
  await submit()
  assert.match(await page.evaluate("document.querySelector('#problem').textContent"), /one of the first/)
  await shoot(page, "signup-wrong")
  await fill({ password })
  await submit()
  assert.equal(await heading(), "You are logged in")
  await shoot(page, "logged-in")
  await submit()
  assert.equal(await heading(), "Log in")
  await fill({ email, password })
  await submit()
  assert.equal(await page.evaluate("location.pathname"), "/api/list", "where / leads")
  await page.open(`${url}/auth/login`)
  assert.equal(await heading(), "You are logged in")

  for (const path of ["/auth/signup", "/auth/login"]) {
    await page.open(url + path)
    await page.screenshot("/dev/null", 320, 640)
    assert.equal(await page.evaluate("document.documentElement.scrollWidth"), 320, `${path} scrolls sideways`)
  }
  assert.deepEqual(
    page.complaints.filter((it) => !/status of 400|status of 404/.test(it)),
    [],
  )
})

test("in a browser a person continues with a provider, and is logged in on the page where it leads", {
  skip,
}, async (t) => {
  const page = await openBrowser(t)
  const provider = new OpenidProvider()
  await provider.listen(t)
  provider.person = { sub: "anna-1", email, email_verified: true, name: "Anna Miller" }
  const oidc = { OIDC_ISSUER: provider.url, OIDC_CLIENT_ID: client.id, OIDC_CLIENT_SECRET: client.secret }
  for (const SESSION_SAME_SITE of ["lax", "strict"]) {
    const { url } = await testApp(t, app, { env: { ...oidc, SESSION_SAME_SITE } })
    await page.open(`${url}/auth/login?next=/auth/signup`)
    await follow(page, "document.querySelector('a.button').click()")
    // With strict cookies a page of ours stands in between.
    await reach(page, "location.pathname === '/auth/signup' && document.querySelector('.who')")
    assert.match(await page.evaluate("document.querySelector('.who').innerText"), /Anna Miller\s+anna@example\.com/)
    provider.override = (path, response) => path === "/token" && Boolean(response.writeHead(500).end())
    await page.open(`${url}/auth/sign-in/oidc`)
    assert.match(await page.evaluate("document.querySelector('main').innerText"), /Single sign-on answered in a way/)
    await shoot(page, "sign-in-failed")
    provider.override = () => false
  }
})
