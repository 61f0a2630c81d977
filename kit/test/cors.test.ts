// @together
/** Pages of other origins: who may call, and what their browsers are told. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { type Routes, Type } from "trestle"
import { testApp } from "trestle/testing"
import { parseOrigin } from "../src/core/origin.ts"
import { ask } from "./raw-request.ts"
import { sampleApp } from "./sample/app.ts"

const Text = Type.Object({ text: Type.String() })
const open = { role: "visitor", schema: { response: { 200: Text } } } as const

const routes: Routes = (api) => {
  api.get("/", open, async () => ({ text: "" }))
  api.get("/editors", { ...open, role: "editor" }, async () => ({ text: "" }))
  api.get("/zipped", open, async (_request, reply) => {
    reply.header("vary", "Accept-Encoding")
    return { text: "" }
  })
  api.options("/own", { ...open, role: "editor" }, async () => ({ text: "" }))
}

const front = "https://front.example"
const other = "https://other.example"
const allowFront = { CORS_ENABLED: "true", CORS_ALLOW_ORIGINS: `${front},http://localhost:3000` }
const preflightFrom = (origin: string) => ({ origin, "access-control-request-method": "PUT" })
const corsNames = (names: string[]) => names.filter((name) => name.startsWith("access-control-"))

test("without CORS no answer has any of its headers, and a preflight is a plain OPTIONS", async (t) => {
  const { url } = await testApp(t, sampleApp(routes))
  const simple = await ask(`${url}/api/sample`, { headers: { origin: front } })
  const preflight = await ask(`${url}/api/sample`, { method: "OPTIONS", headers: preflightFrom(front) })
  for (const { names } of [simple, preflight]) {
    assert.deepEqual(corsNames(names), [])
    assert.ok(!names.includes("vary"))
  }
  assert.equal(preflight.headers.allow, "GET, HEAD, OPTIONS")
})

test("an allowed origin reads answers and their headers", async (t) => {
  const { url } = await testApp(t, sampleApp(routes), { env: allowFront })
  for (const origin of [front, "http://localhost:3000"]) {
    const { status, headers, names } = await ask(`${url}/api/sample`, { headers: { origin } })
    assert.equal(status, 200)
    assert.equal(headers["access-control-allow-origin"], origin)
    assert.match(headers["access-control-expose-headers"]!, /^X-Request-Id, /)
    assert.equal(headers.vary, "Origin")
    assert.deepEqual(corsNames(names).sort(), ["access-control-allow-origin", "access-control-expose-headers"])
  }
})

test("an allowed origin reads problems too", async (t) => {
  const { url } = await testApp(t, sampleApp(routes), { env: allowFront })
  const calls = [
    { status: 401, path: "/api/sample/editors" },
    { status: 404, path: "/api/nowhere" },
    { status: 405, path: "/api/sample", method: "DELETE" },
  ]
  for (const { status, path, ...request } of calls) {
    const answer = await ask(url + path, { ...request, headers: { origin: front } })
    assert.equal(answer.status, status)
    assert.equal(answer.headers["access-control-allow-origin"], front)
    assert.ok(JSON.parse(answer.body).request_id)
  }
})

test("an origin that is not allowed gets no CORS headers, and the answer otherwise", async (t) => {
  const { url } = await testApp(t, sampleApp(routes), { env: allowFront })
  const refused = [
    other,
    "null",
    "*",
    "",
    `${front}/`,
    `${front}:443`,
    `${front}:8443`,
    `${front}.evil.example`,
    "http://front.example",
    "HTTPS://FRONT.EXAMPLE",
    "https://evil.front.example",
    "http://localhost",
  ]
  for (const origin of refused) {
    const simple = await ask(`${url}/api/sample`, { headers: { origin } })
    assert.equal(simple.status, 200)
    const preflight = await ask(`${url}/api/sample`, { method: "OPTIONS", headers: preflightFrom(origin) })
    assert.equal(preflight.status, 204)
    for (const { names, headers } of [simple, preflight]) {
      assert.deepEqual(corsNames(names), [], origin)
      assert.equal(headers.vary, "Origin")
    }
  }
})

test("without an Origin there is only Vary, added to what the route varies by", async (t) => {
  const { url } = await testApp(t, sampleApp(routes), { env: allowFront })
  const plain = await ask(`${url}/api/sample`)
  assert.deepEqual([plain.headers.vary, corsNames(plain.names)], ["Origin", []])
  const zipped = await ask(`${url}/api/sample/zipped`, { headers: { origin: front } })
  assert.equal(zipped.headers.vary, "Accept-Encoding, Origin")
})

test("a preflight is answered before anybody asks who calls, on every path", async (t) => {
  const { url } = await testApp(t, sampleApp(routes), { env: { ...allowFront, CORS_MAX_AGE: "60" } })
  for (const path of ["/api/sample", "/api/sample/editors", "/api/sample/own", "/api/nowhere", "/"]) {
    const answer = await ask(url + path, { method: "OPTIONS", headers: preflightFrom(front) })
    assert.deepEqual([answer.status, answer.body], [204, ""], path)
    assert.equal(answer.headers["access-control-allow-origin"], front)
    assert.equal(answer.headers["access-control-allow-methods"], "GET, HEAD, POST, PUT, PATCH, DELETE")
    assert.equal(
      answer.headers["access-control-allow-headers"],
      "Content-Type, Authorization, X-API-Key, Idempotency-Key",
    )
    assert.equal(answer.headers["access-control-max-age"], "60")
    assert.ok(answer.headers["x-request-id"])
  }
})

test("an OPTIONS that is no preflight is answered by the path", async (t) => {
  const { url } = await testApp(t, sampleApp(routes), { env: allowFront })
  const options = await ask(`${url}/api/sample`, { method: "OPTIONS", headers: { origin: front } })
  assert.deepEqual([options.status, options.headers.allow], [204, "GET, HEAD, OPTIONS"])
  const own = await ask(`${url}/api/sample/own`, { method: "OPTIONS", headers: { origin: front } })
  assert.equal(own.status, 401)
})

test("a preflight does not count towards rate limits", async (t) => {
  const { url } = await testApp(t, sampleApp(routes), {
    env: { ...allowFront, RATE_LIMIT_ENABLED: "true", RATE_LIMIT_LIMIT: "1/day" },
  })
  for (let i = 0; i < 3; i++) {
    const preflight = await ask(`${url}/api/sample`, { method: "OPTIONS", headers: preflightFrom(front) })
    assert.equal(preflight.status, 204)
  }
  const calls = [await ask(`${url}/api/sample`), await ask(`${url}/api/sample`, { headers: { origin: front } })]
  assert.deepEqual(
    calls.map(({ status }) => status),
    [200, 429],
  )
  assert.equal(calls[1]!.headers["access-control-allow-origin"], front)
})

test("credentials are allowed where that is set", async (t) => {
  const { url } = await testApp(t, sampleApp(routes), { env: { ...allowFront, CORS_ALLOW_CREDENTIALS: "true" } })
  for (const request of [
    { headers: { origin: front } },
    { headers: preflightFrom(front), method: "OPTIONS" },
    { headers: { origin: other } },
  ]) {
    const { headers } = await ask(`${url}/api/sample`, request)
    const expected = request.headers.origin === front ? "true" : undefined
    assert.equal(headers["access-control-allow-credentials"], expected)
  }
})

test('"*" is every origin, literally', async (t) => {
  const { url } = await testApp(t, sampleApp(routes), { env: { CORS_ENABLED: "true", CORS_ALLOW_ORIGINS: "*" } })
  const callers: Record<string, string>[] = [{}, { origin: other }, { origin: "null" }]
  for (const headers of callers) {
    const answer = await ask(`${url}/api/sample`, { headers })
    assert.equal(answer.headers["access-control-allow-origin"], "*")
    assert.equal(answer.headers.vary, "Origin")
  }
})

test('the origin "null", which any site can have, is allowed only where it is listed', async (t) => {
  const env = { CORS_ENABLED: "true", CORS_ALLOW_ORIGINS: "null" }
  const { url } = await testApp(t, sampleApp(routes), { env })
  const { headers } = await ask(`${url}/api/sample`, { headers: { origin: "null" } })
  assert.equal(headers["access-control-allow-origin"], "null")
})

test("what would let any site act as its visitor stops the boot and says why", async (t) => {
  const env = { CORS_ENABLED: "true", CORS_ALLOW_CREDENTIALS: "true" }
  const mistakes = {
    "*": /any site could then act as the user .* Name the origins in CORS_ALLOW_ORIGINS/,
    null: /any site can have the origin "null"/,
  }
  for (const [origins, message] of Object.entries(mistakes)) {
    await assert.rejects(testApp(t, sampleApp(routes), { env: { ...env, CORS_ALLOW_ORIGINS: origins } }), {
      name: "BootError",
      message,
    })
  }
  await assert.rejects(
    testApp(t, sampleApp(routes), { env: { ...env, CORS_ALLOW_ORIGINS: front, CORS_ALLOW_HEADERS: "*" } }),
    /cors\.allow_headers has "\*", which browsers do not take/,
  )
  const { config } = await testApp(t, sampleApp(routes), { env: { ...env, CORS_ENABLED: "false" } })
  assert.equal(config.cors.allow_credentials, true)
})

test("an origin that no browser would send stops the boot with what to write", async (t) => {
  const env = { CORS_ENABLED: "true", CORS_ALLOW_ORIGINS: `${front}/,app.example.com,https://*.example.com` }
  await assert.rejects(testApp(t, sampleApp(routes), { env }), (error: Error) => {
    assert.equal(error.name, "BootError")
    assert.match(error.message, /must be an origin: write "https:\/\/front\.example", but is /)
    return true
  })
  const mistakes: Record<string, RegExp> = {
    "https://a.example/": /write "https:\/\/a\.example"$/,
    "https://a.example/app?x#y": /write "https:\/\/a\.example"$/,
    "https://a.example:443": /write "https:\/\/a\.example"$/,
    "https://user:pw@a.example": /write "https:\/\/a\.example"$/,
    "https://ä.example": /write "https:\/\/xn--4ca\.example"$/,
    "a.example": /write "https:\/\/a\.example"$/,
    "//a.example:8443": /write "https:\/\/a\.example:8443"$/,
    "localhost:3000": /write "http:\/\/localhost:3000"$/,
    "127.0.0.1:3000/x": /write "http:\/\/127\.0\.0\.1:3000"$/,
    "https://*.example.com": /patterns are not taken/,
    "file:///index.html": /an origin such as/,
    "": /an origin such as/,
    "https://": /an origin such as/,
  }
  for (const [text, message] of Object.entries(mistakes)) {
    assert.throws(() => parseOrigin(text), { name: "TypeError", message }, text)
  }
  const origins = { "https://A.Example": "https://a.example", "http://[::1]:3000": "http://[::1]:3000" }
  for (const [text, origin] of Object.entries(origins)) assert.equal(parseOrigin(text), origin)
  for (const text of ["capacitor://localhost", "chrome-extension://abcdef", "null", "*"])
    assert.equal(parseOrigin(text), text)
})
