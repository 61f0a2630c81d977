// @together
/** Every answer tells browsers to be careful. */
import assert from "node:assert/strict"
import { once } from "node:events"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import net, { type AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import tls from "node:tls"
import type { FastifyReply } from "fastify"
import { type Routes, Type } from "trestle"
import { type TestApp, testApp } from "trestle/testing"
import { plainSecurityHeaders } from "../src/http/security-headers.ts"
import { ask } from "./raw-request.ts"
import { sampleApp } from "./sample/app.ts"

const Text = Type.Object({ text: Type.String() })
const open = { role: "visitor", schema: { response: { 200: Text } } } as const

const routes: Routes = (api) => {
  api.get("/", open, async () => ({ text: "" }))
  api.post("/", { ...open, schema: { ...open.schema, body: Text } }, async ({ body }) => body)
  api.get("/editors", { ...open, role: "editor" }, async () => ({ text: "" }))
  api.get("/broken", open, async () => {
    throw new Error("broken")
  })
  api.get("/same", { role: "visitor", schema: { response: { 304: Type.Null() } } }, async (_request, reply) =>
    reply.code(304).send(null),
  )
  api.get("/page", open, async (_request, reply) => {
    reply.header("content-security-policy", "default-src 'none'")
    return { text: "" }
  })
}

const expected = {
  "x-content-type-options": "nosniff",
  "x-frame-options": "SAMEORIGIN",
  "content-security-policy": "default-src 'self'",
  "referrer-policy": "strict-origin-when-cross-origin",
  "x-xss-protection": "0",
  "permissions-policy": "camera=(), geolocation=(), microphone=()",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
}

test("every answer carries each security header once", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "trestle-"))
  t.after(() => rmSync(folder, { recursive: true }))
  mkdirSync(join(folder, "static"))
  writeFileSync(join(folder, "static/page.html"), "<p>A page.</p>")
  const { url } = await testApp(t, sampleApp(routes, { folder }), { env: { CORS_ENABLED: "true" } })
  const { etag = "" } = (await ask(`${url}/page.html`)).headers
  const preflight = { origin: "https://a.example", "access-control-request-method": "GET" }
  const json = { "content-type": "application/json" }
  const calls = [
    { status: 200, path: "/api/health" },
    { status: 200, path: "/api/health", method: "HEAD" },
    { status: 304, path: "/api/sample/same" },
    { status: 400, path: "/api/sample", method: "POST", headers: json, body: "{" },
    { status: 400, path: "/api/sample", method: "POST", headers: json, body: "{}" },
    { status: 401, path: "/api/sample/editors" },
    { status: 404, path: "/api/nowhere" },
    { status: 405, path: "/api/sample", method: "DELETE" },
    { status: 415, path: "/api/sample", method: "POST", headers: { "content-type": "text/xml" }, body: "<a/>" },
    { status: 500, path: "/api/sample/broken" },
    { status: 204, path: "/api/sample", method: "OPTIONS", headers: preflight },
    { status: 204, path: "/api/sample", method: "OPTIONS" },
    { status: 200, path: "/page.html" },
    { status: 304, path: "/page.html", headers: { "if-none-match": etag } },
    { status: 404, path: "/%zz" },
  ]
  for (const { status, path, ...request } of calls) {
    const answer = await ask(url + path, request)
    assert.equal(answer.status, status, path)
    for (const [name, value] of Object.entries(expected)) {
      assert.equal(answer.headers[name], value, `${name} of ${path}`)
      assert.equal(answer.names.filter((one) => one === name).length, 1, `${name} of ${path}`)
    }
    assert.equal(answer.headers["strict-transport-security"], undefined)
  }
})

test("a route can say otherwise", async (t) => {
  const { url } = await testApp(t, sampleApp(routes))
  const { headers, names } = await ask(`${url}/api/sample/page`)
  assert.equal(headers["content-security-policy"], "default-src 'none'")
  assert.equal(names.filter((name) => name === "content-security-policy").length, 1)
  assert.equal(headers["x-content-type-options"], "nosniff")
})

test("a header is replaced and removed in whatever way a handler does it", async (t) => {
  const { url } = await testApp(
    t,
    sampleApp((api) => {
      const ways: Record<string, (reply: FastifyReply) => unknown> = {
        "/removed": (reply) => reply.removeHeader("X-Frame-Options"),
        "/removed-below": ({ raw }) => raw.removeHeader("X-Frame-Options"),
        "/set-below": ({ raw }) => raw.setHeader("X-Frame-Options", "DENY"),
        "/set-again": (reply) => reply.removeHeader("x-frame-options").header("X-Frame-Options", "DENY"),
        "/by-hand": (reply) => reply.hijack().raw.writeHead(200, { "X-Frame-Options": "DENY" }).end(),
        "/by-list": (reply) => reply.hijack().raw.writeHead(200, ["x-Frame-options", "DENY", "x-b", "c"]).end(),
      }
      for (const [path, way] of Object.entries(ways)) {
        api.get(path, open, async (_request, reply) => {
          assert.equal(reply.getHeader("x-frame-options"), "SAMEORIGIN")
          assert.equal(reply.hasHeader("X-Frame-Options"), true)
          assert.equal(reply.getHeaders()["x-frame-options"], "SAMEORIGIN")
          way(reply)
          return { text: "" }
        })
      }
    }),
  )
  const sent: Record<string, string[]> = {}
  for (const path of ["/removed", "/removed-below", "/set-below", "/set-again", "/by-hand", "/by-list"]) {
    const { status, headers, names } = await ask(`${url}/api/sample${path}`)
    assert.equal(status, 200)
    assert.equal(headers["x-content-type-options"], "nosniff", path)
    sent[path] = names.filter((name) => name === "x-frame-options").map(() => String(headers["x-frame-options"]))
  }
  assert.deepEqual(sent, {
    "/removed": [],
    "/removed-below": [],
    "/set-below": ["DENY"],
    "/set-again": ["DENY"],
    "/by-hand": ["DENY"],
    "/by-list": ["DENY"],
  })
})

test("Fastify's injection answers with the same headers", async (t) => {
  const { server } = await testApp(t, sampleApp(routes))
  const { headers } = await server.inject("/api/health")
  for (const [name, value] of Object.entries(expected)) assert.equal(headers[name], value)
})

test("answers without a request have the same headers, and an empty setting leaves its header out", async (t) => {
  const { config } = await testApp(t, sampleApp(routes))
  assert.deepEqual(plainSecurityHeaders(config.security), expected)
  const empty = { ...config.security, content_security_policy: "", permissions_policy: "" }
  const { "content-security-policy": _policy, "permissions-policy": _permissions, ...rest } = expected
  assert.deepEqual(plainSecurityHeaders(empty), rest)
})

test("Strict-Transport-Security comes over TLS only, and not at all when its age is 0", async (t) => {
  const app = await testApp(t, sampleApp(routes))
  const overTls = async (path: string, to: TestApp) => ask(to.url + path, { socket: await connectTls(t, to) })
  const plain = await ask(`${app.url}/api/health`, { headers: { "x-forwarded-proto": "https" } })
  assert.equal(plain.headers["strict-transport-security"], undefined)
  for (const path of ["/api/health", "/api/nowhere"]) {
    const { headers } = await overTls(path, app)
    assert.equal(headers["strict-transport-security"], "max-age=31536000")
  }
  const without = await testApp(t, sampleApp(routes), { env: { SECURITY_HSTS_MAX_AGE: "0" } })
  assert.equal((await overTls("/api/health", without)).headers["strict-transport-security"], undefined)
})

test("Strict-Transport-Security comes when a trusted proxy says that the client used TLS", async (t) => {
  const { url } = await testApp(t, sampleApp(routes), {
    env: { TRUSTED_PROXIES: "127.0.0.1", SECURITY_HSTS_MAX_AGE: "60" },
  })
  const calls: [expected: string | undefined, headers: Record<string, string>, from?: string][] = [
    ["max-age=60", { "x-forwarded-proto": "https" }],
    ["max-age=60", { forwarded: "for=203.0.113.9;proto=https" }],
    [undefined, { "x-forwarded-proto": "http" }],
    [undefined, {}],
    [undefined, { "x-forwarded-proto": "https" }, "127.0.0.2"],
  ]
  for (const [expected, headers, from = "127.0.0.1"] of calls) {
    const answer = await ask(`${url}/api/health`, { headers, from })
    assert.equal(answer.headers["strict-transport-security"], expected, JSON.stringify(headers))
  }
})

/** A TLS connection to the server, which itself listens without: with a shared key, so that no certificate is needed. */
async function connectTls(t: TestContext, { server }: TestApp): Promise<tls.TLSSocket> {
  const key = Buffer.from("0123456789abcdef")
  const shared = { ciphers: "PSK", maxVersion: "TLSv1.2", minVersion: "TLSv1.2" } as const
  const front = tls.createServer({ ...shared, pskCallback: () => key }, (socket) =>
    server.server.emit("connection", socket),
  )
  front.listen(0, "127.0.0.1")
  await once(front, "listening")
  const { port } = front.address() as AddressInfo
  const socket = tls.connect({
    ...shared,
    socket: net.connect(port, "127.0.0.1"),
    pskCallback: () => ({ psk: key, identity: "test" }),
    checkServerIdentity: () => undefined,
  })
  await once(socket, "secureConnect")
  t.after(() => {
    socket.destroy()
    front.close()
  })
  return socket
}
