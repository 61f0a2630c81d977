// @together
/** `/dev/mail`, which shows the mails of development. */
import assert from "node:assert/strict"
import { type TestContext, test } from "node:test"
import { type App, defineApp, html, mailTemplate, Type, unsafeHtml } from "trestle"
import { testApp } from "trestle/testing"
import { openBrowser, withoutChromium } from "./chromium.ts"

const data = Type.Object({ name: Type.String() })
/** What an application may make of data that it trusts too much. */
const hostile = mailTemplate("hostile", { data }, ({ data, link }) => ({
  subject: `<b>Hello</b> ${data.name}`,
  text: `<script>alert(1)</script> ${link("/auth/login?a=1&b=2")}`,
  html: html`<p style="color: #b3261e">Hello ${data.name}<script>document.title = "run"</script>${unsafeHtml('<img src="x" onerror="parent.document.title = 1">')}<a href="${link("/auth/login")}">Log in</a>`,
}))
const plain = mailTemplate("plain", { data }, ({ data }) => ({ subject: `Plain ${data.name}`, text: "Only text\n" }))

const app = (more: Partial<App> = {}) =>
  defineApp({ name: "sample", routes: {}, mails: [hostile, plain], folder: import.meta.dirname, ...more })

async function withMails(t: TestContext) {
  const made = await testApp(t, app())
  const { mail } = made.server
  const ids = []
  for (const template of [hostile, plain]) {
    ids.push(await mail.send({ to: "anna@example.com", template, data: { name: "Anna <Müller>" } }))
    await made.jobs.run()
  }
  return { ...made, hostileId: ids[0]!, plainId: ids[1]! }
}

test("the page lists what was sent, and shows each mail as HTML, text and source", async (t) => {
  const { visitor, hostileId, plainId } = await withMails(t)
  const list = await visitor.get("/dev/mail")
  assert.equal(list.status, 200)
  for (const id of [hostileId, plainId]) assert.ok(list.body.includes(`<a href="/dev/mail/${id}">`))
  assert.match(list.body, /&lt;b&gt;Hello&lt;\/b&gt; Anna &lt;Müller&gt;/)

  const shown = await visitor.get(`/dev/mail/${hostileId}`)
  assert.match(shown.body, new RegExp(`<iframe title="[^"]+" src="/dev/mail/${hostileId}/html" sandbox="allow-popups `))
  assert.match(shown.body, /<a href="http:\/\/localhost:8100\/auth\/login\?a=1&amp;b=2">/)
  assert.match(shown.body, /<dd>anna@example\.com<\/dd>/)
  for (const { body, headers } of [list, shown]) {
    assert.doesNotMatch(body, /<script|<b>Hello|onerror/)
    assert.match(headers.get("content-security-policy")!, /^default-src 'none'; style-src 'self'; frame-src 'self'/)
    assert.equal(headers.get("cache-control"), "no-store")
  }
  assert.doesNotMatch((await visitor.get(`/dev/mail/${plainId}`)).body, /<iframe/)

  const source = await visitor.get(`/dev/mail/${hostileId}/source`)
  assert.match(source.headers.get("content-type")!, /^text\/plain/)
  assert.match(source.body, new RegExp(`^Message-ID: <${hostileId}@localhost>\r$`, "m"))
})

test("the HTML of a mail can do nothing here, whatever it says", async (t) => {
  const { visitor, hostileId } = await withMails(t)
  const { headers, body } = await visitor.get(`/dev/mail/${hostileId}/html`)
  assert.match(body, /^<base target="_blank">/)
  const policy = headers.get("content-security-policy")!
  assert.match(
    policy,
    /^default-src 'none'; style-src 'unsafe-inline'; img-src \* data:; frame-ancestors 'self'; sandbox /,
  )
  assert.doesNotMatch(policy, /allow-(scripts|same-origin|forms|top-navigation)|script-src/)
  assert.equal(headers.get("referrer-policy"), "no-referrer")
})

test("it shows mails only, and in production there is nothing", async (t) => {
  const { visitor } = await withMails(t)
  for (const id of ["nothing", "..%2f..%2fpackage", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", `${"a".repeat(101)}`]) {
    for (const rest of ["", "/html", "/source"]) {
      assert.equal((await visitor.get(`/dev/mail/${id}${rest}`)).status, 404, id)
    }
  }
  assert.doesNotMatch(JSON.stringify((await visitor.get("/api/openapi.json")).body), /dev\/mail/)

  const production = await testApp(t, app(), { mode: "production" })
  for (const path of ["/dev/mail", "/dev/mail/style.css"]) {
    assert.equal((await production.visitor.get(path)).status, 404)
    assert.equal((await production.as("superuser").get(path)).status, 404)
  }
})

test("where mails go to a mail server the page says so", async (t) => {
  const env = { SMTP_URL: "smtp://127.0.0.1:1", MAIL_FROM: "a@b.example" }
  const { visitor } = await testApp(t, app(), { env })
  assert.match((await visitor.get("/dev/mail")).body, /Mails go to the server of SMTP_URL\./)
  assert.equal((await visitor.get("/dev/mail/1f0e")).status, 404)
})

test("in a browser a mail is shown, and nothing in it runs", { skip: withoutChromium }, async (t) => {
  const page = await openBrowser(t)
  const { url, hostileId } = await withMails(t)
  const folder = process.env.SCREENSHOTS
  const shoot = async (name: string) => {
    if (!folder) return
    for (const isDark of [false, true]) {
      await page.screenshot(`${folder}/${name}-desktop${isDark ? "-dark" : ""}.png`, 1280, 900, { isDark })
      await page.screenshot(`${folder}/${name}-phone${isDark ? "-dark" : ""}.png`, 320, 640, { isDark, isWhole: true })
    }
  }
  await page.open(`${url}/dev/mail`)
  await shoot("dev-mail")
  const title = await page.evaluate("document.title")
  await page.open(`${url}/dev/mail/${hostileId}`)
  await shoot("dev-mail-open")
  assert.notEqual(await page.evaluate("document.title"), title)
  assert.doesNotMatch(await page.evaluate("document.title"), /^(1|run)$/)
  // Another origin, by the sandbox: the page cannot look into it, nor it into the page.
  assert.equal(await page.evaluate("document.querySelector('iframe').contentDocument"), null)
  assert.ok(page.requests.includes(`${url}/dev/mail/${hostileId}/html`))
  await page.screenshot("/dev/null", 320, 640)
  assert.equal(await page.evaluate("document.documentElement.scrollWidth"), 320, "it scrolls sideways")
})
