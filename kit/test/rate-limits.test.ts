// @together
/** How much one client may ask. Limits are "a day" here: no window ends in the midst of a test. */
import assert from "node:assert/strict"
import { once } from "node:events"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { type Routes, Type } from "trestle"
import { testApp } from "trestle/testing"
import { parseRate } from "../src/core/rate.ts"
import { WindowCounter } from "../src/http/window-counter.ts"
import { until } from "./embedded/scratch.ts"
import { ask } from "./raw-request.ts"
import { sampleApp } from "./sample/app.ts"

const Text = Type.Object({ text: Type.String() })
const open = { role: "visitor", schema: { response: { 200: Text } } } as const
const answer = async () => ({ text: "" })

const routes: Routes = (api) => {
  api.get("/", open, answer)
  api.get("/editors", { ...open, role: "editor" }, answer)
  api.get("/few/:id", { ...open, rateLimit: "2/day" }, answer)
  api.post("/few/:id", { ...open, rateLimit: "1/day" }, answer)
  api.get("/any", { ...open, rateLimit: false }, answer)
}

const limited = (limit: string, env: Record<string, string> = {}) => ({
  env: { RATE_LIMIT_ENABLED: "true", RATE_LIMIT_LIMIT: limit, ...env },
})
const rateHeaders = (names: string[]) => names.filter((name) => name.includes("ratelimit") || name === "retry-after")

test("each answer says what is left, and who asked too much is refused until the window ends", async (t) => {
  const { url } = await testApp(t, sampleApp(routes), limited("3/day"))
  const before = Math.floor(Date.now() / 1000)
  for (const remaining of [2, 1, 0]) {
    const { status, headers } = await ask(`${url}/api/sample`)
    assert.equal(status, 200)
    assert.equal(headers["x-ratelimit-limit"], "3")
    assert.equal(headers["x-ratelimit-remaining"], String(remaining))
    assert.ok(Math.abs(Number(headers["x-ratelimit-reset"]) - before - 86_400) <= 2)
    assert.equal(headers["ratelimit-policy"], '"default";q=3;w=86400')
    assert.match(String(headers.ratelimit), new RegExp(`^"default";r=${remaining};t=86(400|39\\d)$`))
    assert.equal(headers["retry-after"], undefined)
  }
  const refused = await ask(`${url}/api/sample`)
  assert.equal(refused.status, 429)
  assert.equal(refused.headers["content-type"], "application/problem+json; charset=utf-8")
  assert.equal(refused.headers["x-ratelimit-remaining"], "0")
  assert.match(refused.headers["retry-after"]!, /^86(400|39\d)$/)
  const { detail, ...problem } = JSON.parse(refused.body)
  assert.deepEqual(problem, {
    type: "about:blank",
    title: "Too Many Requests",
    status: 429,
    request_id: refused.headers["x-request-id"],
  })
  assert.match(detail, /^Too many requests\. Try again in 86\d{3} seconds\.$/)
  assert.equal(new Set(refused.names).size, refused.names.length)
})

test("a window that has ended is forgotten", async (t) => {
  const { url } = await testApp(t, sampleApp(routes), limited("1/second"))
  assert.equal((await ask(`${url}/api/sample`)).status, 200)
  const { headers } = await ask(`${url}/api/sample`)
  assert.equal(headers["ratelimit-policy"], '"default";q=1;w=1')
  await until(async () => (await ask(`${url}/api/sample`)).status === 200, 5000)
})

test("of N + k requests at once exactly N are admitted", async (t) => {
  const { url } = await testApp(t, sampleApp(routes), limited("50/day"))
  const answers = await Promise.all(Array.from({ length: 80 }, () => ask(`${url}/api/sample`)))
  assert.equal(answers.filter(({ status }) => status === 200).length, 50)
  assert.equal(answers.filter(({ status }) => status === 429).length, 30)
  const left = answers.map(({ headers }) => Number(headers["x-ratelimit-remaining"])).sort((a, b) => b - a)
  assert.deepEqual(left.slice(0, 50), [...Array(50).keys()].reverse())
})

test("requests sent at once over one connection are counted one by one", async (t) => {
  const { url } = await testApp(t, sampleApp(routes), limited("5/day"))
  const socket = net.connect(Number(new URL(url).port), "127.0.0.1")
  await once(socket, "connect")
  const request = "GET /api/sample HTTP/1.1\r\nHost: localhost\r\n\r\n"
  socket.write(request.repeat(7) + request.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"))
  let text = ""
  for await (const chunk of socket.setEncoding("utf8")) text += chunk
  assert.deepEqual([text.match(/HTTP\/1\.1 200/g)?.length, text.match(/HTTP\/1\.1 429/g)?.length], [5, 3])
})

test("what is not found, not allowed or refused counts too", async (t) => {
  const { url } = await testApp(t, sampleApp(routes), limited("5/day"))
  const calls = [
    { status: 404, path: "/api/nowhere" },
    { status: 404, path: "/nowhere" },
    { status: 405, path: "/api/sample", method: "DELETE" },
    { status: 401, path: "/api/sample/editors" },
    { status: 401, path: "/api/sample/editors", headers: { "x-api-key": "wrong" } },
    { status: 429, path: "/api/sample" },
    { status: 429, path: "/api/nowhere" },
    { status: 429, path: "/api/sample/editors", headers: { "x-api-key": "wrong" } },
  ]
  for (const { status, path, ...request } of calls) {
    const { status: got, headers } = await ask(url + path, request)
    assert.equal(got, status, path)
    assert.equal(headers["x-ratelimit-limit"], "5")
  }
})

test("clients do not use up each other's limit", async (t) => {
  const { url } = await testApp(t, sampleApp(routes), limited("1/day"))
  for (const from of ["127.0.0.1", "127.0.0.2", "127.0.0.3"]) {
    assert.equal((await ask(`${url}/api/sample`, { from })).status, 200)
    assert.equal((await ask(`${url}/api/sample`, { from })).status, 429)
  }
})

test("an IPv6 client is its /64 network", async (t) => {
  const { url } = await testApp(t, sampleApp(routes), limited("1/day", { TRUSTED_PROXIES: "127.0.0.1" }))
  const call = async (client: string) =>
    (await ask(`${url}/api/sample`, { headers: { "x-forwarded-for": client } })).status
  const networks = [
    ["2001:db8::1", "2001:db8:0:0:ffff::2", "2001:DB8:0:0:1:2:3:4", "2001:db8::ffff:1:2:3"],
    ["2001:db8:0:1::1", "2001:db8:0:1:1:2:3:4"],
    ["2001:db8:1::1", "2001:db8:1::"],
    ["::1", "::2"],
    ["1::", "1::5"],
    ["fd00:1:2:3:4:5:6:7", "fd00:1:2:3::"],
    ["203.0.113.9", "::ffff:203.0.113.9", "203.0.113.9:80"],
    ["203.0.113.10"],
  ]
  for (const [first, ...others] of networks) {
    assert.equal(await call(first!), 200, first)
    for (const client of others) assert.equal(await call(client), 429, client)
  }
})

test("nobody gets a new limit by writing addresses", async (t) => {
  const { url } = await testApp(t, sampleApp(routes), limited("1/day", { TRUSTED_PROXIES: "127.0.0.9" }))
  const call = async (headers: Record<string, string>, from: string) =>
    (await ask(`${url}/api/sample`, { headers, from })).status
  assert.equal(await call({}, "127.0.0.2"), 200)
  for (const name of ["x-forwarded-for", "x-real-ip"]) {
    assert.equal(await call({ [name]: "203.0.113.1" }, "127.0.0.2"), 429)
  }
  assert.equal(await call({ forwarded: "for=203.0.113.1" }, "127.0.0.2"), 429)
  // The same through a proxy that adds the address it saw.
  assert.equal(await call({ "x-forwarded-for": "203.0.113.9" }, "127.0.0.9"), 200)
  for (const spoofed of ["198.51.100.1, 203.0.113.9", "127.0.0.9, 203.0.113.9", "rubbish, 203.0.113.9"]) {
    assert.equal(await call({ "x-forwarded-for": spoofed }, "127.0.0.9"), 429)
  }
})

test("what clients send through a proxy does not use up the proxy's own limit", async (t) => {
  const { url } = await testApp(t, sampleApp(routes), limited("1/day", { TRUSTED_PROXIES: "127.0.0.9" }))
  const call = async (headers: Record<string, string> = {}) =>
    (await ask(`${url}/api/sample`, { headers, from: "127.0.0.9" })).status
  const contradicting = { "x-forwarded-for": "203.0.113.9", "x-real-ip": "198.51.100.1" }
  assert.equal(await call(contradicting), 200)
  assert.equal(await call({ ...contradicting, "x-real-ip": "198.51.100.2" }), 429)
  assert.equal(await call({ "x-forwarded-for": "unknown" }), 429)
  assert.equal(await call(), 200)
  assert.equal(await call(), 429)
})

test("a route's own limit counts by itself, for GET and HEAD together", async (t) => {
  const { url } = await testApp(t, sampleApp(routes), limited("3/day"))
  const call = async (path: string, method = "GET") => ask(`${url}/api/sample${path}`, { method })
  const first = await call("/few/1")
  assert.equal(first.headers["ratelimit-policy"], '"GET /api/sample/few/:id";q=2;w=86400')
  assert.match(String(first.headers.ratelimit), /^"GET \/api\/sample\/few\/:id";r=1;t=\d+$/)
  assert.equal((await call("/few/2", "HEAD")).headers["x-ratelimit-remaining"], "0")
  assert.equal((await call("/few/3/")).status, 429)
  assert.equal((await call("/few/1", "POST")).status, 200)
  assert.equal((await call("/few/1", "POST")).status, 429)
  assert.equal((await call("")).headers["x-ratelimit-remaining"], "2")
})

test("a route without a limit is never refused, and says nothing of limits", async (t) => {
  const { url } = await testApp(t, sampleApp(routes), limited("1/day"))
  for (let i = 0; i < 3; i++) {
    const { status, names } = await ask(`${url}/api/sample/any`)
    assert.deepEqual([status, rateHeaders(names)], [200, []])
  }
  assert.equal((await ask(`${url}/api/sample`)).headers["x-ratelimit-remaining"], "0")
})

test("static files count where that is set; what is missing always counts", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "trestle-"))
  t.after(() => rmSync(folder, { recursive: true }))
  mkdirSync(join(folder, "static"))
  writeFileSync(join(folder, "static/page.html"), "<p>A page.</p>")
  const app = sampleApp(routes, { folder })
  const free = await testApp(t, app, limited("2/day"))
  const status = async (path: string, { url } = free) => (await ask(url + path)).status
  for (let i = 0; i < 4; i++) assert.equal(await status("/page.html"), 200)
  assert.deepEqual(rateHeaders((await ask(`${free.url}/page.html`)).names), [])
  assert.equal(await status("/missing"), 404)
  assert.equal((await ask(`${free.url}/api/missing`)).headers["x-ratelimit-remaining"], "0")
  assert.equal(await status("/missing"), 429)
  assert.equal(await status("/page.html"), 200)
  const counted = await testApp(t, app, limited("2/day", { RATE_LIMIT_STATIC_FILES: "true" }))
  assert.equal(await status("/page.html", counted), 200)
  assert.equal(await status("/missing", counted), 404)
  assert.equal(await status("/page.html", counted), 429)
})

test("without rate limits no answer speaks of them", async (t) => {
  const { url } = await testApp(t, sampleApp(routes), limited("1/day", { RATE_LIMIT_ENABLED: "false" }))
  for (const path of ["", "/few/1", "/few/1", "/few/1"]) {
    const { status, names } = await ask(`${url}/api/sample${path}`)
    assert.deepEqual([status, rateHeaders(names)], [200, []])
  }
})

test("a rate that cannot be read stops the boot and is named", async (t) => {
  const wrong: Routes = (api) => void api.get("/", { ...open, rateLimit: "5 per minute" }, answer)
  await assert.rejects(testApp(t, sampleApp(wrong)), {
    name: "BootError",
    message: /The route GET \/api\/sample has the rateLimit "5 per minute"\. It must be a rate such as "100\/minute"/,
  })
  await assert.rejects(testApp(t, sampleApp(routes), limited("0/minute")), /RATE_LIMIT_LIMIT .* must be a rate such as/)
})

test("rates are a count and a time", () => {
  assert.deepEqual(parseRate("100/minute"), { limit: 100, windowMs: 60_000 })
  assert.deepEqual(parseRate("5/s"), { limit: 5, windowMs: 1000 })
  assert.deepEqual(parseRate("1000 / 15 minutes"), { limit: 1000, windowMs: 900_000 })
  for (const text of [
    "100",
    "/minute",
    "-1/s",
    "0/s",
    "1.5/s",
    "1/",
    "1/0 s",
    "9/999 ms",
    "1/fortnight",
    "1//s",
    " 1/s",
    "1e3/s",
  ])
    assert.throws(() => parseRate(text), { name: "TypeError", message: /^a rate such as/ }, text)
})

test("a counter opens a window with the first count after the last", () => {
  const counter = new WindowCounter(1000, 1000)
  assert.deepEqual([counter.count("a", 5000), counter.endsAt], [1, 6000])
  assert.deepEqual([counter.count("a", 5999), counter.count("b", 5999), counter.endsAt], [2, 1, 6000])
  assert.deepEqual([counter.count("a", 6500), counter.endsAt, counter.size], [1, 7500, 1])
})

test("a counter does not grow, and millions of addresses do not push out who asked much", () => {
  const counter = new WindowCounter(86_400_000, 1000)
  for (let i = 0; i < 60; i++) for (let busy = 0; busy < 50; busy++) counter.count(`busy ${busy}`, 0)
  for (let i = 0; i < 200_000; i++) counter.count(`2001:db8:${i.toString(16)}::/64`, 0)
  assert.equal(counter.size, 1000)
  const kept = Array.from({ length: 50 }, (_, busy) => counter.count(`busy ${busy}`, 0)).filter((count) => count === 61)
  assert.equal(kept.length, 50)
})
