// @together
/** Whom a request comes from, and who is believed about it. */
import assert from "node:assert/strict"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import net, { type AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { Type } from "trestle"
import { type TestApp, testApp } from "trestle/testing"
import { networkSet, parseNetwork, plainAddress } from "../src/core/networks.ts"
import { ask } from "./raw-request.ts"
import { sampleApp } from "./sample/app.ts"

const Seen = Type.Object({ ip: Type.String(), protocol: Type.String() })
const app = sampleApp((api) => {
  api.get("/", { role: "visitor", schema: { response: { 200: Seen } } }, async ({ ip, protocol }) => ({ ip, protocol }))
})

type Headers = Record<string, string | string[]>

async function start(t: TestContext, env: Record<string, string> = {}) {
  const server = await testApp(t, app, { env })
  const seen = async (headers: Headers = {}, from = "127.0.0.1") =>
    JSON.parse((await ask(`${server.url}/api/sample`, { headers, from })).body) as { ip: string; protocol: string }
  return { ...server, seen, ip: async (headers?: Headers, from?: string) => (await seen(headers, from)).ip }
}

test("without trusted proxies the client is the other end of the connection, whatever it says", async (t) => {
  const { seen } = await start(t)
  assert.deepEqual(await seen({}, "127.0.0.7"), { ip: "127.0.0.7", protocol: "http" })
  const spoofed = {
    "x-forwarded-for": "203.0.113.9",
    "x-forwarded-proto": "https",
    "x-real-ip": "203.0.113.9",
    forwarded: "for=203.0.113.9;proto=https",
  }
  assert.deepEqual(await seen(spoofed, "127.0.0.7"), { ip: "127.0.0.7", protocol: "http" })
})

test("a trusted proxy names the client in any of three headers", async (t) => {
  const { ip } = await start(t, { TRUSTED_PROXIES: "127.0.0.1,10.0.0.0/8,fd00::/8" })
  const told: [headers: Headers, client: string][] = [
    [{ "x-forwarded-for": "203.0.113.9" }, "203.0.113.9"],
    [{ "x-forwarded-for": "203.0.113.9:4711" }, "203.0.113.9"],
    [{ "x-forwarded-for": "2001:DB8:0:0::0009" }, "2001:db8::9"],
    [{ "x-forwarded-for": "[2001:db8::9]:4711" }, "2001:db8::9"],
    [{ "x-forwarded-for": "::ffff:203.0.113.9" }, "203.0.113.9"],
    [{ "x-real-ip": "203.0.113.9" }, "203.0.113.9"],
    [{ "x-real-ip": "2001:db8::9" }, "2001:db8::9"],
    [{ forwarded: "for=203.0.113.9" }, "203.0.113.9"],
    [{ forwarded: 'For="203.0.113.9:4711";Proto=http;by=10.0.0.1' }, "203.0.113.9"],
    [{ forwarded: 'by=10.0.0.1; for="[2001:db8:cafe::17]:4711"' }, "2001:db8:cafe::17"],
    [{ forwarded: 'for="[2001:db8:cafe::17]:_port"' }, "2001:db8:cafe::17"],
    [{ forwarded: "for=203.0.113.9;" }, "203.0.113.9"],
  ]
  for (const [headers, client] of told) assert.equal(await ip(headers), client, JSON.stringify(headers))
  assert.equal(await ip({ "x-forwarded-for": "203.0.113.9" }, "127.0.0.2"), "127.0.0.2")
})

test("what the client wrote before the proxies is not believed", async (t) => {
  const { ip } = await start(t, { TRUSTED_PROXIES: "127.0.0.1,10.0.0.0/8" })
  const told: [headers: Headers, client: string][] = [
    [{ "x-forwarded-for": "198.51.100.1, 203.0.113.9" }, "203.0.113.9"],
    [{ "x-forwarded-for": "198.51.100.1,203.0.113.9,10.0.0.2 , 10.0.0.3" }, "203.0.113.9"],
    [{ "x-forwarded-for": ["198.51.100.1", "203.0.113.9"] }, "203.0.113.9"],
    [{ "x-forwarded-for": "rubbish, 203.0.113.9" }, "203.0.113.9"],
    [{ "x-forwarded-for": "10.0.0.9, 10.0.0.3" }, "10.0.0.9"],
    [{ forwarded: 'for=198.51.100.1, for="203.0.113.9", for=10.0.0.2' }, "203.0.113.9"],
    [{ forwarded: 'for="198.51.100.1, for=203.0.113.9' }, "203.0.113.9"],
    [{ forwarded: 'for=198.51.100.1, for=203.0.113.9;host="a,b;for=198.51.100.1"' }, "203.0.113.9"],
    [{ forwarded: 'host="a;for=198.51.100.1";for=203.0.113.9' }, "203.0.113.9"],
  ]
  for (const [headers, client] of told) assert.equal(await ip(headers), client, JSON.stringify(headers))
})

test("headers that cannot be read, or contradict each other, leave the address of the proxy", async (t) => {
  const { ip } = await start(t, { TRUSTED_PROXIES: "127.0.0.1,10.0.0.1" })
  const odd: Headers[] = [
    { "x-forwarded-for": "" },
    { "x-forwarded-for": "unknown" },
    { "x-forwarded-for": "203.0.113.9," },
    { "x-forwarded-for": "203.0.113.256" },
    { "x-forwarded-for": "203.0.113" },
    { "x-forwarded-for": "010.0.0.1" },
    { "x-forwarded-for": "[2001:db8::9" },
    { "x-forwarded-for": "example.com" },
    { "x-forwarded-for": "203.0.113.9 198.51.100.1" },
    { "x-real-ip": "203.0.113.9, 198.51.100.1" },
    { forwarded: "" },
    { forwarded: "for=unknown" },
    { forwarded: "for=_hidden" },
    { forwarded: "for=198.51.100.1, for=_hidden" },
    { forwarded: "203.0.113.9" },
    { forwarded: 'for="203.0.113.9' },
    { forwarded: "for=203.0.113.9;for=198.51.100.1" },
    { forwarded: "proto=https" },
    // A proxy that writes one of them hands on the others as the client sent them.
    { "x-forwarded-for": "203.0.113.9", forwarded: "for=198.51.100.1" },
    { "x-forwarded-for": "198.51.100.1", "x-real-ip": "203.0.113.9" },
    { "x-forwarded-for": "203.0.113.9", forwarded: "for=unknown" },
  ]
  for (const headers of odd) assert.equal(await ip(headers), "127.0.0.1", JSON.stringify(headers))
  const agreeing: Headers[] = [
    { "x-forwarded-for": "203.0.113.9", forwarded: "for=203.0.113.9", "x-real-ip": "203.0.113.9" },
    // The second of two proxies, which sets X-Real-IP to the first, as the usual lines for nginx do.
    { "x-forwarded-for": "203.0.113.9, 10.0.0.1", "x-real-ip": "10.0.0.1" },
  ]
  for (const headers of agreeing) assert.equal(await ip(headers), "203.0.113.9", JSON.stringify(headers))
})

test("a trusted proxy says which protocol the client used", async (t) => {
  const { seen } = await start(t, { TRUSTED_PROXIES: "127.0.0.1,10.0.0.1" })
  const told: [headers: Headers, protocol: string][] = [
    [{}, "http"],
    [{ "x-forwarded-proto": "https" }, "https"],
    [{ "x-forwarded-proto": "HTTPS" }, "https"],
    [{ "x-forwarded-proto": "http, https" }, "https"],
    [{ "x-forwarded-proto": "https, http" }, "http"],
    [{ "x-forwarded-proto": "gopher" }, "http"],
    [{ forwarded: "for=203.0.113.9;proto=https" }, "https"],
    [{ forwarded: 'for=203.0.113.9;proto="https", for=10.0.0.1;proto=http' }, "https"],
    [{ forwarded: "for=198.51.100.1;proto=https, for=203.0.113.9;proto=http" }, "http"],
  ]
  for (const [headers, protocol] of told)
    assert.equal((await seen(headers)).protocol, protocol, JSON.stringify(headers))
  assert.equal((await seen({ "x-forwarded-proto": "https" }, "127.0.0.2")).protocol, "http")
})

test("the first forwarded header from a private address that is not trusted is answered once in the log", async (t) => {
  const fresh = await start(t)
  await fresh.ip()
  assert.deepEqual(fresh.log, [])
  await fresh.ip({ "x-forwarded-for": "203.0.113.9" }, "127.0.0.5")
  await fresh.ip({ forwarded: "for=203.0.113.9" }, "127.0.0.6")
  assert.equal(fresh.log.length, 1)
  assert.match(
    fresh.log[0]!,
    /\(WARNING\) .*X-Forwarded-For came from 127\.0\.0\.5, .*: TRUSTED_PROXIES=127\.0\.0\.5\n$/,
  )
  const others = await start(t, { TRUSTED_PROXIES: "10.0.0.0/8,127.0.0.1" })
  await others.ip({ "x-forwarded-for": "203.0.113.9" })
  assert.deepEqual(others.log, [])
  await others.ip({ "x-real-ip": "203.0.113.9" }, "127.0.0.5")
  assert.match(
    others.log.join(""),
    /X-Real-IP came from .* TRUSTED_PROXIES=10\.0\.0\.0\/8,127\.0\.0\.1,127\.0\.0\.5\n$/,
  )
})

test("IPv4 on a socket for both families is plain IPv4, and trusted as such", async (t) => {
  const { server, url, log } = await start(t, { TRUSTED_PROXIES: "127.0.0.1" })
  const both = await front(t, server, { host: "::", port: 0 })
  const port = String((both.address() as AddressInfo).port)
  const call = async (host: string, headers: Headers = {}) =>
    JSON.parse((await ask(url.replace(/127.*/, `${host}:${port}/api/sample`), { headers })).body).ip
  assert.equal(await call("127.0.0.1"), "127.0.0.1")
  assert.equal(await call("127.0.0.1", { "x-forwarded-for": "203.0.113.9" }), "203.0.113.9")
  assert.equal(await call("[::1]", { "x-forwarded-for": "203.0.113.9" }), "::1")
  assert.match(log.join(""), /TRUSTED_PROXIES=127\.0\.0\.1,::1\n$/)
})

test("a Unix socket has no address, and is not trusted", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "trestle-"))
  t.after(() => rmSync(folder, { recursive: true }))
  const { server, url } = await start(t, {
    TRUSTED_PROXIES: "127.0.0.1",
    RATE_LIMIT_ENABLED: "true",
    RATE_LIMIT_LIMIT: "1/day",
  })
  await front(t, server, { path: join(folder, "s") })
  const call = async () => {
    const socket = net.connect(join(folder, "s"))
    return ask(`${url}/api/sample`, { socket, headers: { "x-forwarded-for": "203.0.113.9" } })
  }
  assert.equal(JSON.parse((await call()).body).ip, "unknown")
  assert.equal((await call()).status, 429)
})

/** Another listener, whose connections the server of the test gets. */
async function front(t: TestContext, server: TestApp["server"], options: net.ListenOptions): Promise<net.Server> {
  const listener = net.createServer((socket) => server.server.emit("connection", socket)).listen(options)
  await once(listener, "listening")
  t.after(() => listener.close())
  return listener
}

test("what is no address or network stops the boot and is named", async (t) => {
  const env = { TRUSTED_PROXIES: "10.0.0.1,10.0.0.0/33,1,proxy.local" }
  await assert.rejects(testApp(t, app, { env }), (error: Error) => {
    assert.equal(error.name, "BootError")
    assert.match(error.message, /TRUSTED_PROXIES\[1\].*must be an address or a network, .* but is "10\.0\.0\.0\/33"/)
    return true
  })
  const mistakes: Record<string, RegExp> = {
    "10.0.0": /^an address or a network, such as/,
    "010.0.0.1": /^an address/,
    "10.0.0.0/33": /^an address/,
    "10.0.0.0/": /^an address/,
    "fd00::/129": /^an address/,
    "::ffff:10.0.0.0/95": /^an address/,
    "fe80::1%eth0": /^an address/,
    "proxy.local": /^an address/,
    true: /^an address/,
    "": /^an address/,
    1: /a number of hops is not taken/,
    "0.0.0.0/0": /\/0 is everyone/,
    "::/0": /\/0 is everyone/,
  }
  for (const [text, message] of Object.entries(mistakes)) {
    assert.throws(() => parseNetwork(text), { name: "TypeError", message }, text)
  }
})

test("networks hold their addresses and no others", () => {
  const has = networkSet(["10.0.0.0/8", "192.0.2.7", "::ffff:198.51.100.0/120", "fd00::/8", "2001:DB8:0::1"])
  for (const address of ["10.0.0.0", "10.255.255.255", "192.0.2.7", "198.51.100.9", "fdab::1", "2001:db8::1"])
    assert.ok(has(plainAddress(address)!), address)
  for (const address of ["11.0.0.0", "9.255.255.255", "192.0.2.8", "198.51.101.9", "fe00::1", "2001:db8::2", "::"])
    assert.ok(!has(plainAddress(address)!), address)
})
