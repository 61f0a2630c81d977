// @together
/** Where a webhook may go, and where not, however the address is written. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isPublic } from "../src/webhooks/public-addresses.ts"
import { resolveInDns } from "../src/webhooks/resolve.ts"
import { addressesOf, readTarget } from "../src/webhooks/target.ts"
import { startDnsServer } from "./dns-server.ts"

const strict = { allowPrivate: false, allowHttp: false }
const lax = { allowPrivate: true, allowHttp: true }
const overHttp = { ...strict, allowHttp: true }

const inside = [
  ["0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255", "100.100.100.200"],
  ["127.0.0.1", "127.255.255.255", "169.254.0.0", "169.254.169.254", "172.16.0.0", "172.31.255.255"],
  ["192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.0.0", "192.168.255.255", "198.18.0.1", "198.19.255.255"],
  ["198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"],
  ["::", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1", "0:0:0:0:0:ffff:0a00:0001", "::127.0.0.1", "::ffff:0:10.0.0.1"],
  ["64:ff9b::7f00:1", "64:ff9b::8.8.8.8", "64:ff9b:1::1", "100::1", "100:0:0:1::1", "2001::1", "2001:1ff::1"],
  ["2001:db8::1", "2002:7f00:1::1", "2620:4f:8000::1", "3fff::1", "5f00::1", "fc00::1", "fd00::1", "fdff:ffff::1"],
  ["fe80::1", "febf::1", "fec0::1", "ff02::1", "ffff::1", "fe80::1%eth0", "2600::1%eth0", "", "localhost", "1.2.3"],
].flat()

const outside = [
  ["1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0"],
  [
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "192.169.0.0",
    "223.255.255.255",
  ],
  ["2000::1", "2001:200::1", "2001:4860:4860::8888", "2003::1", "2600::1", "3ffe:ffff::1", "::ffff:8.8.8.8"],
].flat()

test("addresses of this machine, of networks inside and of no host are not public", () => {
  for (const address of inside) assert.equal(isPublic(address), false, address)
  for (const address of outside) assert.equal(isPublic(address), true, address)
})

test("a private address is refused, however it is written", () => {
  const written = [
    [
      "127.0.0.1",
      "127.1",
      "2130706433",
      "0x7f000001",
      "0x7f.1",
      "0177.0.0.1",
      "017700000001",
      "127.0.0.1.",
      "%31%32%37.1",
    ],
    ["127。0。0。1", "①②⑦.0.0.1", "0", "0.0.0.0", "169.254.169.254", "0xa9fea9fe", "[::1]", "[::ffff:127.0.0.1]"],
    ["[::ffff:7f00:1]", "[0:0:0:0:0:ffff:7f00:0001]", "[::127.0.0.1]", "[64:ff9b::127.0.0.1]", "[fd00::1]"],
  ].flat()
  for (const host of written) {
    assert.throws(() => readTarget(`https://${host}/hooks`, strict), /private or local/, host)
    readTarget(`https://${host}:8443/hooks`, lax)
  }
})

test("what is no address of a receiver is refused", () => {
  const wrong = [
    ["", "nonsense", "/hooks", "//example.com/", "ftp://example.com/", "file:///etc/passwd", "javascript:alert(1)"],
    [
      "https://",
      "https://[fe80::1%25eth0]/",
      "https://exa mple.com/",
      "https://256.256.256.256/",
      "https://1.2.3.4.5/",
    ],
    ["https://user@example.com/", "https://user:password@example.com/", "https://:password@example.com/"],
    ["https://example.com#@127.0.0.1/", `https://example.com/${"a".repeat(2000)}`, "https://example.com:99999/"],
  ].flat()
  for (const url of wrong) {
    assert.throws(() => readTarget(url, lax), { name: "HttpError", statusCode: 400 }, JSON.stringify(url))
  }
})

test("the name is the one that is connected to, whatever stands around it", () => {
  const hosts = {
    "https://EXAMPLE.com\\@127.0.0.1/": "example.com",
    "https://example.com/@127.0.0.1": "example.com",
    "https://example.com?@127.0.0.1": "example.com",
    "https://example.com:8443/hooks?a=b": "example.com",
    "https://bücher.example/": "xn--bcher-kva.example",
    "https://[2600::1]/": "[2600::1]",
  }
  for (const [url, host] of Object.entries(hosts)) assert.equal(readTarget(url, strict).hostname, host)
  assert.equal(readTarget("https://example.com/a\r\nHost: b", strict).href, "https://example.com/aHost:%20b")
})

test("http is taken where it is allowed", () => {
  assert.throws(() => readTarget("http://example.com/", strict), /begins with https/)
  readTarget("http://example.com/", overHttp)
})

const never = new AbortController().signal
const named = (host: string) => new URL(`https://${host}/`)

test("a name that leads inside is refused, also when only one of its addresses does", async () => {
  const answering = (...addresses: string[]) =>
    addressesOf(named("receiver.example"), { ...strict, resolve: async () => addresses }, never)
  await assert.rejects(answering("10.0.0.5"), { message: /^receiver.example is a private or local address/ })
  await assert.rejects(answering("8.8.8.8", "127.0.0.1"), /private or local/)
  await assert.rejects(answering("2600::1", "::ffff:10.0.0.1"), /private or local/)
  await assert.rejects(answering("fe80::1%eth0"), /private or local/)
  assert.deepEqual(await answering("8.8.8.8", "2600::1"), ["8.8.8.8", "2600::1"])
})

test("this machine's own names are refused without asking for them", () => {
  for (const host of ["localhost", "LOCALHOST.", "api.localhost", "ⓛocalhost"]) {
    assert.throws(() => readTarget(`https://${host}/`, strict), /private or local/, host)
  }
  readTarget("https://notlocalhost.example/", strict)
})

test("what a private address is stays unsaid", async () => {
  const resolve = async () => ["10.11.12.13"]
  const asked = addressesOf(named("database.internal"), { ...strict, resolve }, never)
  await assert.rejects(asked, (error: Error) => !error.message.includes("10.11"))
})

test("a name is asked for in DNS, for addresses of both kinds", async (t) => {
  const { server, asked } = await startDnsServer(t, {
    "both.example": { a: ["192.0.2.1", "192.0.2.2"], aaaa: ["2600::1"] },
    "four.example": { a: ["192.0.2.4"] },
    "six.example": { aaaa: ["2600::6"] },
    "none.example": {},
  })
  const resolve = resolveInDns([server])
  assert.deepEqual((await resolve("both.example", never)).sort(), ["192.0.2.1", "192.0.2.2", "2600::1"])
  assert.deepEqual(await resolve("four.example", never), ["192.0.2.4"])
  assert.deepEqual(await resolve("six.example.", never), ["2600::6"])
  await assert.rejects(resolve("none.example", never), { code: "ENODATA" })
  await assert.rejects(resolve("unknown.example", never), { code: "ENOTFOUND" })
  // Nothing was looked for in the domain of this machine.
  assert.ok(
    asked.every((question) => /^\w+\.example \w+$/.test(question)),
    asked.join(", "),
  )
})

test("a question that nobody answers is called off", async (t) => {
  const { server } = await startDnsServer(t, { "silent.example": { silent: true } })
  const controller = new AbortController()
  const asked = resolveInDns([server])("silent.example", controller.signal)
  controller.abort()
  await assert.rejects(asked, { code: "ECANCELLED" })
})

test("names that are not answered hold up no other", async (t) => {
  const { server } = await startDnsServer(t, {
    "silent.example": { silent: true },
    "four.example": { a: ["192.0.2.4"] },
  })
  const controller = new AbortController()
  const resolve = resolveInDns([server])
  const silent = Array.from({ length: 100 }, () => resolve("silent.example", controller.signal))
  assert.deepEqual(await resolve("four.example", never), ["192.0.2.4"])
  controller.abort()
  for (const { status } of await Promise.allSettled(silent)) assert.equal(status, "rejected")
})
