/** The pages of the documentation in a real browser: they work, nothing is complained of, and nothing leaves the origin. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { Type } from "trestle"
import { testApp } from "trestle/testing"
import { type BrowserPage, openBrowser, withoutChromium } from "./chromium.ts"
import { Item, ItemInput, sampleApp } from "./sample/app.ts"

const app = sampleApp((api) => {
  /** Lists items <script>window.hacked = 1</script><img src=x onerror="window.hacked = 1">. More <script>window.hacked = 1</script> <img src=x onerror="window.hacked = 1">. */
  api.get("/", { role: "readonly", schema: { response: { 200: Type.Array(Item) } } }, async () => [])

  /** Adds an item. */
  api.post(
    "/",
    { role: "editor", schema: { body: ItemInput, response: { 201: Item } } },
    async () => undefined as never,
  )
})

const skip = withoutChromium
// Each test opens the browser before the application: what is opened first is closed first, and a browser keeps connections
// on which it has not yet asked anything, for whose end a server that closes waits.

function assertQuiet({ complaints, requests }: BrowserPage, url: string): void {
  assert.deepEqual(complaints, [])
  assert.ok(requests.length > 0)
  const elsewhere = requests.filter(
    (it) => !it.startsWith(`${url}/`) && !/^(data:|blob:http:\/\/127\.0\.0\.1)/.test(it),
  )
  assert.deepEqual(elsewhere, [])
}

test("the list filters while one types, opens what a link names, and says when nothing is found", {
  skip,
}, async (t) => {
  const page = await openBrowser(t)
  const { url } = await testApp(t, app)
  await page.open(`${url}/api/list#postSample`)
  const shown = () =>
    page.evaluate("[...document.querySelectorAll('details')].filter((it) => it.offsetParent).map((it) => it.id)")
  const type = (text: string) =>
    page.evaluate(
      `{ const input = document.querySelector("input"); input.value = ${JSON.stringify(text)}; input.dispatchEvent(new Event("input")) }`,
    )
  const all = await shown()
  assert.deepEqual(all.slice(0, 5), ["getSample", "postSample", "postSignup", "postLogin", "postLogout"])
  assert.equal(await page.evaluate("document.querySelector('#postSample').open"), true)
  await type("POST editor")
  assert.deepEqual(await shown(), ["postSample"])
  assert.equal(await page.evaluate("document.querySelector('output').textContent"), `1 of ${all.length}`)
  await type("health")
  assert.deepEqual(await shown(), ["getHealth", "getHealthReady"])
  assert.equal(await page.evaluate("document.querySelectorAll('section:not([hidden])').length"), 1)
  await type("nothing of the kind")
  assert.deepEqual(await shown(), [])
  assert.ok(await page.evaluate("document.querySelector('#none').offsetParent !== null"))
  await type("")
  assert.deepEqual(await shown(), all)
  assert.equal(await page.evaluate("window.hacked"), undefined)
  assertQuiet(page, url)
})

test("Swagger UI shows the endpoints and tries one out, with a key that it does not keep", { skip }, async (t) => {
  const page = await openBrowser(t)
  const { url, as, server } = await testApp(t, app)
  const keys: unknown[] = []
  server.server.prependListener("request", (request) => keys.push(request.headers["x-api-key"]))
  await page.open(`${url}/api/docs`)
  await page.until("document.querySelectorAll('.opblock').length > 4")
  const click = (selector: string) => page.evaluate(`document.querySelector(${JSON.stringify(selector)}).click()`)
  const tryOut = async (id: string) => {
    await click(`[id$=${id}] .opblock-summary-control`)
    // The button is there before the operation is, and does nothing until then.
    await page.until(
      `document.querySelector("[id$=${id}] .execute") && !document.querySelector("[id$=${id}] .opblock-loading-animation")`,
    )
    await click(`[id$=${id}] .execute`)
    await page.until(`document.querySelector("[id$=${id}] .live-responses-table .response-col_status")`)
    return page.evaluate(
      `document.querySelector("[id$=${id}] .live-responses-table .response .response-col_status").textContent.trim().slice(0, 3)`,
    )
  }
  assert.equal(await tryOut("getHealth"), "200")

  await as("readonly").get("/api/sample")
  const key = keys.at(-1) as string
  await click(".authorize")
  await page.until("document.querySelector('.auth-container input')")
  await page.evaluate(`{
    const input = document.querySelector(".auth-container input")
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(input, ${JSON.stringify(key)})
    input.dispatchEvent(new Event("input", { bubbles: true }))
  }`)
  await click(".auth-container .authorize")
  await page.until("document.querySelector('.auth-container').innerText.includes('Logout')")
  await click(".btn-done")
  await page.until("!document.querySelector('.dialog-ux')")
  assert.equal(await tryOut("getSample"), "200")
  assert.equal(keys.at(-1), key)
  assert.equal(await page.evaluate("JSON.stringify([localStorage, sessionStorage])"), "[{},{}]")
  assert.equal(await page.evaluate("window.hacked"), undefined)
  assertQuiet(page, url)
})

test("ReDoc shows the endpoints, and its search finds one", { skip }, async (t) => {
  const page = await openBrowser(t)
  const { url } = await testApp(t, app)
  await page.open(`${url}/api/redoc`)
  await page.until(
    "document.body.innerText.includes('Adds an item.') && document.body.innerText.includes('/api/health')",
  )
  await page.until("document.querySelector('[role=search] input')")
  await page.evaluate(`{
    const input = document.querySelector("[role=search] input")
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(input, "health alive")
    input.dispatchEvent(new Event("input", { bubbles: true }))
  }`)
  await page.until("document.querySelector('[data-role=\"search:results\"]')?.innerText.includes('alive')")
  assert.equal(await page.evaluate("window.hacked"), undefined)
  assertQuiet(page, url)
})

test("the browser tells of what a policy forbids, so that its silence means something", { skip }, async (t) => {
  const page = await openBrowser(t)
  const { url } = await testApp(t, app)
  for (const path of ["/api/list", "/api/docs", "/api/redoc"]) {
    await page.open(url + path)
    page.complaints.length = 0
    await page.evaluate(`{
      const script = document.createElement("script")
      script.textContent = "window.hacked = 1"
      document.body.append(script)
      const picture = document.createElement("img")
      picture.src = "http://127.0.0.1:9/elsewhere.png"
      document.body.append(picture)
    }`)
    assert.equal(await page.evaluate("window.hacked"), undefined)
    await page.evaluate("new Promise((done) => setTimeout(done))")
    assert.match(page.complaints.join("\n"), /script-src/)
    assert.match(page.complaints.join("\n"), /img-src/)
  }
})
