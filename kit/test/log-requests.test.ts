// @together
/** What the log says of requests, over real sockets, in a process whose output and file are read afterwards. */
import assert from "node:assert/strict"
import { once } from "node:events"
import net from "node:net"
import { test } from "node:test"
import { startServer } from "./log/processes.ts"

/** The lines that have this in them, without their times. */
const linesWith = (log: string, part: string | RegExp) =>
  log
    .split("\n")
    .filter((line) => line.match(part))
    .map((line) => line.slice("[20/11/2026 | 09:30:00] ".length))

/** Sends bytes as they are, and returns what came back. */
async function sendRaw(port: number, bytes: string): Promise<string> {
  const socket = net.connect(port, "127.0.0.1")
  let answer = ""
  socket.setEncoding("latin1").on("data", (chunk) => (answer += chunk))
  socket.end(bytes, "latin1")
  await once(socket, "close")
  return answer
}

const json = { "content-type": "application/json" }
const post = (body: unknown, headers: Record<string, string> = {}) => ({
  method: "POST",
  headers: { ...json, ...headers },
  body: JSON.stringify(body),
})

test("a request is logged when it comes and when it was answered, with duration, user, id and parameters", async (t) => {
  const server = await startServer(t)
  const answer = await fetch(`${server.url}/api/sample?page=2`)
  const id = answer.headers.get("x-request-id")
  await fetch(`${server.url}/api/sample`, post({ title: "Alien", tags: ["a"] }, { "x-api-key": "right" }))
  await fetch(`${server.url}/api/sample`, post({}))
  await fetch(`${server.url}/nowhere`)
  await fetch(`${server.url}/api/sample/stream`)
  await fetch(`${server.url}/api/sample`, { method: "HEAD" })
  const { file, out } = await server.stop()
  assert.equal(file, out)
  const lines = linesWith(file, "request: ")
  assert.equal(lines.length, 12)
  assert.equal(lines[0], "(INFO) request: Request: GET /api/sample?page=2 from 127.0.0.1")
  assert.match(lines[1]!, /^\(INFO\) request: Response: GET \/api\/sample\?page=2 -> 200 \d+\.\d ms user=- id=\S+$/)
  assert.ok(lines[1]!.endsWith(`id=${id}`))
  assert.match(
    lines[3]!,
    /POST \/api\/sample -> 200 .* user=00000000-\S+ id=\S+ body=\{"title":"Alien","tags":\["a"\]\}$/,
  )
  assert.match(lines[5]!, /POST \/api\/sample -> 200 \S+ ms user=- id=\S+$/)
  assert.match(lines[7]!, /GET \/nowhere -> 404 /)
  assert.match(lines[9]!, /GET \/api\/sample\/stream -> 200 /)
  assert.match(lines[11]!, /HEAD \/api\/sample -> 200 /)
})

test('"response" logs one line, with the address; "off" and a higher level log none', async (t) => {
  const settings: Record<string, string>[] = [
    { LOGGING_REQUESTS: "response" },
    { LOGGING_REQUESTS: "off" },
    { LOGGING_LEVEL: "warn" },
  ]
  const logs = await Promise.all(
    settings.map(async (env) => {
      const server = await startServer(t, env)
      await fetch(`${server.url}/api/sample`)
      return linesWith((await server.stop()).file, "request: ")
    }),
  )
  assert.deepEqual(
    logs.map((lines) => lines.length),
    [1, 0, 0],
  )
  assert.match(
    logs[0]![0]!,
    /^\(INFO\) request: Response: GET \/api\/sample from 127\.0\.0\.1 -> 200 \S+ ms user=- id=\S+$/,
  )
})

test("JSON lines of requests have fields", async (t) => {
  const server = await startServer(t, { LOGGING_FORMAT: "json" })
  await fetch(`${server.url}/api/sample?token=canary`)
  const { file } = await server.stop()
  const [request, response] = linesWith(file, '"module":"request"').map((_, i) => {
    return JSON.parse(file.split("\n").filter((line) => line.includes('"module":"request"'))[i]!)
  })
  assert.equal(request.address, "127.0.0.1")
  const { method, url, status, user } = response
  assert.deepEqual(
    { method, url, status, user },
    { method: "GET", url: "/api/sample?token=***", status: 200, user: "-" },
  )
  assert.equal(response.request_id, request.request_id)
  assert.equal(typeof response.ms, "number")
})

test("a slow request is a WARNING, even where requests are not logged; a stream of events is none", async (t) => {
  const server = await startServer(t, { LOGGING_SLOW_AFTER: "1 ms", LOGGING_REQUESTS: "off" })
  await fetch(`${server.url}/api/sample/slow`)
  await (await fetch(`${server.url}/api/sample/events`)).text()
  const lines = linesWith((await server.stop()).file, "request: ")
  assert.equal(lines.length, 1)
  assert.match(
    lines[0]!,
    /^\(WARNING\) request: Response: GET \/api\/sample\/slow from \S+ -> 200 SLOW! \d+\.\d ms user=- id=/,
  )
})

test("a refused authentication is a WARNING with its reason and address, one that succeeds DEBUG", async (t) => {
  const server = await startServer(t, { LOGGING_LEVEL: "debug" })
  await fetch(`${server.url}/api/sample/closed`)
  await fetch(`${server.url}/api/login`)
  await fetch(`${server.url}/api/sample/closed`, { headers: { "x-api-key": "right" } })
  const lines = linesWith((await server.stop()).file, "auth: ")
  assert.equal(lines.length, 3)
  assert.match(
    lines[0]!,
    /^\(WARNING\) auth: Refused: GET \/api\/sample\/closed from 127\.0\.0\.1 user=- id=\S+: Log in first/,
  )
  assert.match(
    lines[1]!,
    /^\(WARNING\) auth: Refused: GET \/api\/login from 127\.0\.0\.1 user=- id=\S+: Missing API key$/,
  )
  assert.match(lines[2]!, /^\(DEBUG\) auth: Let in: GET \/api\/sample\/closed user=0{8}-\S+ \(admin, api_key\) id=\S+$/)
})

test("a server error is an ERROR, once, with stack and cause", async (t) => {
  const server = await startServer(t)
  await fetch(`${server.url}/api/sample/told`)
  const { file } = await server.stop()
  assert.equal(linesWith(file, /\(ERROR\)/).length, 1)
  assert.match(file, /\(ERROR\) server: GET \/api\/sample\/told failed \(\S+\):\n {4}HttpError: inside\n {8}at /)
  assert.match(file, /\n {6}caused by \{"reason":"deep inside","secret":"\*\*\*"\}\n/)
})

test("a client that hangs up, and an answer that breaks off, are said", async (t) => {
  const server = await startServer(t)
  for (const method of ["GET", "POST"]) {
    const socket = net.connect(server.port, "127.0.0.1")
    socket.write(`${method} /api/sample/hang?by=${method} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n`)
    await server.said(new RegExp(`Request: ${method} /api/sample/hang`))
    if (method === "GET") socket.destroy()
    else socket.resetAndDestroy()
    await server.said(new RegExp(`\\(INFO\\) request: Response: ${method} /api/sample/hang\\S* -> client hung up `))
  }
  await assert.rejects(fetch(`${server.url}/api/sample/breaks`).then((answer) => answer.text()))
  await server.said(/\(WARNING\) request: Response: GET \/api\/sample\/breaks -> broken off /)
  await server.stop()
})

const forged = "[20/11/2026 | 09:30:00] (ERROR) auth: forged"

test("no request forges a line or drives a terminal", async (t) => {
  const server = await startServer(t)
  const evil = `a\n${forged}\r\n${forged}\x1b[2J\x9b2J\u0085\u2028${forged}\u2029\u202e\x00`
  await fetch(`${server.url}/api/sample`, post({ [evil]: evil, list: [evil] }))
  await fetch(`${server.url}/api/sample/tell`, post({ [evil]: evil }))
  await fetch(`${server.url}/api/sample/forge?message=${encodeURIComponent(evil)}`)
  await fetch(`${server.url}/${encodeURIComponent(evil)}?${encodeURIComponent(evil)}`)
  for (const raw of ["\x1b[2J", "\x9b2J", "\x85", "\x7f", "\t", "\x0b", "\x0c", "\x00", "\xe2\x80\xa8"]) {
    await sendRaw(
      server.port,
      `GET /a${raw}b?c${raw} HTTP/1.1\r\nHost: a\r\nX-Any: a${raw}b\r\nConnection: close\r\n\r\n`,
    )
    await sendRaw(server.port, `GE${raw}T / HTTP/1.1\r\nHost: a${raw}\r\n\r\n`)
  }
  const { file, out } = await server.stop()
  for (const text of [file, out]) {
    assert.doesNotMatch(text.replaceAll("\n", ""), /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/u)
    for (const line of text.trimEnd().split("\n")) {
      assert.match(line, /^( {4}|\[\d\d\/\d\d\/\d{4} \| \d\d:\d\d:\d\d\] \([A-Z]+\) [a-z]+: )/)
      assert.doesNotMatch(line, /^.{0,3}\[20\/11\/2026 \| 09:30:00\] \(ERROR\) auth/)
    }
  }
  assert.match(file, /forged/)
})

/** A secret that is found wherever it goes: as it is, encoded, or cut. */
const canary = (n: number) => `canary${n}x`

test("40 secrets in bodies, queries, paths, headers, cookies and errors: none is in the file or on standard output", async (t) => {
  let count = 0
  const secret = () => canary(++count)
  const server = await startServer(t, { LOGGING_LEVEL: "debug", LOGGING_MASK: "pin,credit_card" })
  const names = [
    "password",
    "Passwd",
    "pwd",
    "token",
    "client_secret",
    "authorization",
    "cookie",
    "api_key",
    "x-api-key",
  ]
  const flat = Object.fromEntries([...names, "API-KEY", "userPin", "creditCard"].map((name) => [name, secret()]))
  const nested = {
    user: { password: secret(), profile: [{ tokens: { access: secret(), list: [secret()] } }] },
    headers: ["Authorization", `Bearer ${secret()}`],
    callback: `https://me:${secret()}@there/?token=${secret()}`,
    text: JSON.stringify({ password: secret(), deep: JSON.stringify({ apiKey: secret() }) }),
  }
  const query = [
    `token=${secret()}`,
    `pass%77ord=${secret()}`,
    `user[pwd]=${secret()}`,
    `api+key=${secret()}`,
    `pin=${secret()}`,
  ]
  const headers = {
    authorization: `Bearer ${secret()}`,
    cookie: `session=${secret()}; other=${secret()}`,
    "x-api-key": "right",
    "x-auth-token": secret(),
    "proxy-authorization": `Basic ${secret()}`,
  }
  for (const path of ["", "/tell", "/fail"]) {
    await fetch(`${server.url}/api/sample${path}?${query.join("&")}`, post({ ...flat, ...nested }, headers))
  }
  await fetch(`${server.url}/api/sample/fail`, post({ password: secret(), apiKey: secret() }, headers))
  await fetch(`${server.url}/api/sample/reset/${secret()}?x=1`)
  await fetch(`${server.url}/api/login`, { headers: { "x-api-key": secret() } })
  await fetch(`${server.url}/api/login`, { headers: { "x-api-key": `trk_${secret()}${"a".repeat(40)}` } })
  await fetch(`${server.url}/nowhere;token=${secret()}?secret=${secret()}#access_token=${secret()}`)
  await sendRaw(
    server.port,
    `GET http://me:${secret()}@a/api/sample?key=${secret()} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
  )
  await sendRaw(server.port, `GET /%zz?token=${secret()} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)
  await fetch(`${server.url}/api/sample`, post(`{"password":"${secret()}"`))
  await fetch(`${server.url}/api/movies?password=${secret()}`, { method: "DELETE" })
  for (const type of ["application/json", "text/plain"]) {
    await fetch(`${server.url}/api/sample`, {
      method: "POST",
      headers: { "content-type": type },
      body: `password=${secret()}`,
    })
  }

  const { file, out } = await server.stop()
  assert.ok(count >= 40, String(count))
  for (const text of [file, out]) {
    for (let n = 1; n <= count; n++) assert.doesNotMatch(text, new RegExp(canary(n)), canary(n))
    assert.doesNotMatch(text, /canary/)
  }
  // It did log what came.
  assert.match(file, /what came body=/)
  assert.match(file, /Error: bad password=\*\*\* in/)
  assert.match(file, /caused by Error: Authorization: \*\*\*/)
})

test("the parameters of a request are cut at 1,000 characters", async (t) => {
  const server = await startServer(t)
  await fetch(`${server.url}/api/sample`, post({ text: "x".repeat(100_000), list: new Array(10_000).fill("y") }))
  await fetch(`${server.url}/api/sample?long=${"z".repeat(8000)}`)
  const lines = linesWith((await server.stop()).file, "request: ")
  assert.equal(lines.length, 4)
  assert.ok(lines.every((line) => line.length < 1200))
  assert.match(lines[1]!, /body=\{"text":"x+…"?/)
})
