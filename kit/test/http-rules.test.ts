// @together
/** What HTTP asks for, over real sockets: clients that are polite would hide most of it. */
import assert from "node:assert/strict"
import { once } from "node:events"
import net from "node:net"
import { type TestContext, test } from "node:test"
import { Type } from "trestle"
import { testApp } from "trestle/testing"
import { sampleApp } from "./sample/app.ts"

const Text = Type.Object({ text: Type.String() })
const Any = Type.Object({}, { additionalProperties: true })
const open = { role: "visitor", schema: { response: { 200: Any } } } as const

const app = sampleApp((api) => {
  api.get("/", open, async ({ query }) => ({ ...(query as object) }))
  api.post("/", { role: "visitor", schema: { response: { 200: Any } } }, async ({ body }) => ({ body }))
  api.get("/tagged", { ...open, etag: true }, async () => ({ same: "always" }))
  api.put("/:name", { role: "editor", schema: { response: { 200: Text } } }, async () => ({ text: "" }))
})

interface RawAnswer {
  status: number
  head: string
  body: string
}

/** Sends bytes, reads until the server closes the connection, and returns the first answer. */
async function raw(url: string, ...chunks: string[]): Promise<RawAnswer> {
  const socket = net.connect(Number(new URL(url).port), "127.0.0.1")
  let text = ""
  socket.setEncoding("utf8").on("data", (chunk) => {
    text += chunk
  })
  socket.on("error", () => {})
  for (const chunk of chunks) socket.write(chunk)
  await once(socket, "close")
  const [head = "", body = ""] = text.split("\r\n\r\n", 2)
  return { status: Number(head.slice(9, 12)), head, body }
}

const request = (line: string, ...headers: string[]) => [line, ...headers, "Connection: close", "", ""].join("\r\n")

async function server(t: TestContext, env: Record<string, string> = {}) {
  return testApp(t, app, { env })
}

test("heads that two readers could understand differently are refused with a problem", async (t) => {
  const { url } = await server(t)
  const host = "Host: localhost"
  const cases: [what: string, bytes: string, status: number][] = [
    ["two Host headers", request("GET /api/health HTTP/1.1", host, "host: other"), 400],
    ["no Host header", request("GET /api/health HTTP/1.1"), 400],
    ["a malformed Host", request("GET /api/health HTTP/1.1", "Host: a b"), 400],
    ["a Host with a path", request("GET /api/health HTTP/1.1", "Host: localhost/x"), 400],
    ["a Host with userinfo", request("GET /api/health HTTP/1.1", "Host: a@b"), 400],
    ["GET *", request("GET * HTTP/1.1", host), 400],
    [
      "HTTP/1.0 with chunked",
      `${request("POST /api/sample HTTP/1.0", host, "Transfer-Encoding: chunked")}0\r\n\r\n`,
      400,
    ],
    ["an HTTP/2.0 request line", request("GET /api/health HTTP/2.0", host), 400],
    [
      "two Content-Types",
      `${request("POST /api/sample HTTP/1.1", host, "Content-Type: application/json", "content-type: text/plain", "Content-Length: 2")}{}`,
      400,
    ],
    [
      "Content-Length with Transfer-Encoding",
      `${request("POST /api/sample HTTP/1.1", host, "Content-Length: 2", "Transfer-Encoding: chunked")}0\r\n\r\n`,
      400,
    ],
    [
      "two Content-Lengths",
      `${request("POST /api/sample HTTP/1.1", host, "Content-Length: 2", "Content-Length: 3")}{}`,
      400,
    ],
    ["CONNECT, which is for proxies", request("CONNECT localhost:80 HTTP/1.1", host), 501],
    ["a header with a bare line feed", "GET /api/health HTTP/1.1\nHost: localhost\nX: y\n\n", 400],
    ["what is no HTTP", "hello\r\n\r\n", 501],
    ["a method that is none", request("FOO / HTTP/1.1", host), 501],
    ["a head that is too large", request("GET /api/health HTTP/1.1", host, `X: ${"x".repeat(20_000)}`), 431],
    ["an expectation that is unknown", request("GET /api/health HTTP/1.1", host, "Expect: the-impossible"), 417],
    ["a NUL in the query", request("GET /api/sample?a=%00 HTTP/1.1", host), 400],
    ["a path that cannot be decoded", request("GET /api/%zz HTTP/1.1", host), 404],
    ["a path that is no UTF-8", request("GET /api/movies/%ff HTTP/1.1", host), 404],
  ]
  for (const [what, bytes, status] of cases) {
    const answer = await raw(url, bytes)
    assert.equal(answer.status, status, what)
    assert.match(answer.head, /content-type: application\/problem\+json/i, what)
    const body = JSON.parse(answer.body)
    assert.deepEqual([body.status, typeof body.detail], [status, "string"], what)
    assert.match(answer.head, new RegExp(`^x-request-id: ${body.request_id}\r?$`, "im"), what)
  }
})

test("a method that Node knows and no route takes is 405, whatever it brings", async (t) => {
  const { url } = await server(t)
  for (const method of ["QUERY", "PROPFIND", "TRACE", "LOCK"]) {
    for (const headers of [[], ["Content-Length: 0"], ["Content-Type: text/plain", "Content-Length: 900000000"]]) {
      const answer = await raw(url, request(`${method} /api/health HTTP/1.1`, "Host: localhost", ...headers))
      assert.equal(answer.status, 405, `${method} ${headers}`)
      assert.match(answer.head, /^allow: GET, HEAD, OPTIONS\r?$/im)
    }
  }
})

test("heads that are fine stay fine", async (t) => {
  const { url } = await server(t)
  for (const head of ["Host: LOCALHOST:80", "Host: 127.0.0.1:1", "Host: [::1]:8100", "Host: a_b.example."]) {
    assert.equal((await raw(url, request("GET /api/health HTTP/1.1", head))).status, 200, head)
  }
  assert.equal((await raw(url, request("GET /api/health HTTP/1.0"))).status, 200)
  assert.equal((await raw(url, request("OPTIONS * HTTP/1.1", "Host: localhost"))).status, 204)
})

test("an absolute-form target is routed by its path", async (t) => {
  const { url } = await server(t)
  for (const target of ["http://elsewhere/api/sample?a=1", "HTTP://localhost:1/api/sample/?a=1"]) {
    const answer = await raw(url, request(`GET ${target} HTTP/1.1`, "Host: localhost"))
    assert.equal(answer.body, '{"a":"1"}', target)
  }
  const root = await raw(url, request("GET http://localhost HTTP/1.1", "Host: localhost"))
  assert.match(root.head, /^HTTP\/1.1 302 [\s\S]*location: \/api\/list/i)
})

test("a body that is too large is 413, of another type 415, encoded 415, without a type 415", async (t) => {
  const { url } = await server(t, { SERVER_BODY_LIMIT: "1 kB" })
  const post = (body: string, ...headers: string[]) =>
    raw(
      url,
      request("POST /api/sample HTTP/1.1", "Host: localhost", `Content-Length: ${body.length}`, ...headers) + body,
    )
  const json = "Content-Type: application/json"
  assert.equal((await post(`"${"x".repeat(2000)}"`, json)).status, 413)
  assert.equal((await post("hello", "Content-Type: text/plain")).status, 415)
  assert.equal((await post("{}", "Content-Type: application/x-www-form-urlencoded")).status, 415)
  assert.equal((await post("{}", json, "Content-Encoding: gzip")).status, 415)
  assert.equal((await post("{}")).status, 415)
  assert.equal(
    (await post('{"a":1}', "Content-Type: application/merge-patch+json; charset=utf-8")).body,
    '{"body":{"a":1}}',
  )
})

test("a body may nest as deep as server.json_depth and no deeper", async (t) => {
  const { visitor } = await server(t, { SERVER_JSON_DEPTH: "5" })
  const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth)
  assert.equal((await visitor.post("/api/sample", nested(5))).status, 200)
  assert.equal((await visitor.post("/api/sample", nested(6))).status, 400)
  assert.equal((await visitor.post("/api/sample", '{"a":"[[[[[[[[\\"[[[[[[{{{{{{{"}')).status, 200)
  assert.equal((await visitor.post("/api/sample", "[".repeat(100_000))).status, 400)
})

test("a body cannot touch the prototypes of objects", async (t) => {
  const { visitor } = await server(t)
  for (const body of ['{"__proto__":{"x":1}}', '{"a":{"__proto__":1}}', '{"constructor":{"prototype":{"x":1}}}']) {
    assert.equal((await visitor.post("/api/sample", body)).status, 400, body)
  }
  assert.equal(({} as { x?: number }).x, undefined)
})

test("OPTIONS says which methods a path takes, before anyone logs in", async (t) => {
  const { visitor } = await server(t)
  const known = await visitor.call("OPTIONS", "/api/sample/")
  assert.deepEqual([known.status, known.headers.get("allow"), known.body], [204, "GET, HEAD, POST, OPTIONS", undefined])
  assert.equal((await visitor.call("OPTIONS", "/api/sample/x")).headers.get("allow"), "PUT, OPTIONS")
  assert.equal((await visitor.call("OPTIONS", "/api/nothing")).status, 404)
})

test("HEAD answers as GET does, without a body", async (t) => {
  const { url } = await server(t)
  const head = await raw(url, request("HEAD /api/health HTTP/1.1", "Host: localhost"))
  const get = await raw(url, request("GET /api/health HTTP/1.1", "Host: localhost"))
  assert.equal(head.status, 200)
  assert.equal(head.body, "")
  assert.equal(/content-length: (\d+)/i.exec(head.head)?.[1], String(get.body.length))
})

test("a route that asks for an ETag answers 304 to who has it", async (t) => {
  const { visitor } = await server(t)
  const first = await visitor.get("/api/sample/tagged")
  const tag = first.headers.get("etag")!
  assert.match(tag, /^"[\w-]+"$/)
  for (const header of [tag, `W/${tag}`, `"other", ${tag}`, "*"]) {
    const again = await visitor.get("/api/sample/tagged", { "if-none-match": header })
    assert.deepEqual([again.status, again.body, again.headers.get("etag")], [304, undefined, tag], header)
  }
  assert.equal((await visitor.get("/api/sample/tagged", { "if-none-match": '"other"' })).status, 200)
  assert.equal((await visitor.get("/api/health")).headers.get("etag"), null)
})

test("a head and a body that do not come in time are refused with 408, and others are served meanwhile", async (t) => {
  const { url, visitor } = await server(t, { SERVER_HEADERS_TIMEOUT: "500 ms", SERVER_RECEIVE_TIMEOUT: "600 ms" })
  const slow = Array.from({ length: 200 }, () => raw(url, "GET /api/health HTTP/1.1\r\nHost: loc"))
  const slowBody = raw(
    url,
    "POST /api/sample HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{",
  )
  for (let i = 0; i < 20; i++) assert.equal((await visitor.get("/api/health")).status, 200)
  for (const answer of await Promise.all([...slow, slowBody])) {
    assert.equal(answer.status, 408)
    assert.equal(JSON.parse(answer.body).title, "Request Timeout")
  }
})

test("an idle connection is closed after keep_alive_timeout", async (t) => {
  const { url } = await server(t, { SERVER_KEEP_ALIVE_TIMEOUT: "100 ms" })
  const answer = await raw(url, "GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
  assert.equal(answer.status, 200)
})

test("json_response.indent and media_type shape replies, and problems stay problems", async (t) => {
  const env = { JSON_RESPONSE_INDENT: "2", JSON_RESPONSE_MEDIA_TYPE: "application/vnd.api+json" }
  const { url } = await server(t, env)
  const answer = await raw(url, request("GET /api/sample?a=1 HTTP/1.1", "Host: localhost"))
  assert.equal(answer.body, '{\n  "a": "1"\n}')
  assert.match(answer.head, /content-type: application\/vnd\.api\+json; charset=utf-8/i)
  const problem = await raw(url, request("GET /api/nothing HTTP/1.1", "Host: localhost"))
  assert.match(problem.head, /content-type: application\/problem\+json/i)
})

test("a request that is followed by garbage gets its own answer, never that of the garbage", async (t) => {
  const slow = sampleApp((api) => {
    api.post("/", { role: "visitor", schema: { response: { 200: Any } } }, async ({ raw }) => {
      // The garbage has come, and was refused, before this is answered.
      if (!raw.socket.destroyed) await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
      return { stored: true }
    })
  })
  const { url } = await testApp(t, slow)
  const post = "POST /api/sample HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
  const answer = await raw(url, post, "GARBAGE\r\n\r\n")
  assert.deepEqual([answer.status, answer.body], [200, '{"stored":true}'])
})

test("bodies are UTF-8, and what is wrong with them is said with its place", async (t) => {
  const { url, visitor } = await server(t)
  const post = async (body: Buffer | string, type = "application/json") => {
    const response = await fetch(`${url}/api/sample`, {
      method: "POST",
      body: body as string,
      headers: { "content-type": type },
    })
    return { status: response.status, detail: ((await response.json()) as { detail: string }).detail }
  }
  for (const bytes of ["ff", "c0af", "eda080"]) {
    const body = Buffer.concat([Buffer.from('{"a":"'), Buffer.from(bytes, "hex"), Buffer.from('"}')])
    assert.equal((await post(body)).status, 400, bytes)
  }
  assert.equal((await post('{"a":1}', "application/json; charset=latin1")).status, 400)
  assert.equal((await post('{"a":1}', 'application/json; charset="UTF-8"')).status, 200)
  assert.match((await post('{"a":1 "b"}')).detail, /position 7|line 1 column 8/)
  assert.match((await post('{"__proto__":1}')).detail, /__proto__/)
  assert.equal((await visitor.get("/api/health")).status, 200)
})

test("a body with a huge name gets a small answer", async (t) => {
  const Body = Type.Object({ a: Type.Optional(Type.String()) })
  const app = sampleApp((api) => {
    api.post("/", { role: "visitor", schema: { body: Body, response: { 200: Any } } }, async () => ({}))
  })
  const { visitor } = await testApp(t, app)
  const answer = await visitor.post("/api/sample", { ["x".repeat(500_000)]: 1 })
  assert.equal(answer.status, 400)
  assert.ok(JSON.stringify(answer.body).length < 1000)
})

test("a long slug has the same methods as a short one", async (t) => {
  const { visitor } = await server(t)
  assert.equal((await visitor.call("OPTIONS", `/api/sample/${"x".repeat(400)}`)).headers.get("allow"), "PUT, OPTIONS")
})
