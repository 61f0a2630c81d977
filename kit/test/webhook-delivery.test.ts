// @together
/** One delivery over a real network connection: what counts as taken, what does not, and what a hostile receiver cannot do. */
import assert from "node:assert/strict"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import net, { type AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import tls from "node:tls"
import { verifyWebhook } from "trestle"
import { makeCertificate } from "../src/http/certificates.ts"
import { type DeliveryRules, deliver } from "../src/webhooks/deliver.ts"
import { newSecret } from "../src/webhooks/signature.ts"
import { startReceiver } from "./receiver.ts"

const secret = newSecret()
const message = { id: "msg_1", secrets: [secret], body: '{"type":"movie.created","data":{"title":"Amélie"}}' }
const lax: DeliveryRules = { allowPrivate: true, allowHttp: true, timeoutMs: 60_000 }
const strict: DeliveryRules = { ...lax, allowPrivate: false }
const never = new AbortController().signal

const to = (url: string, rules: Partial<DeliveryRules> = {}, signal = never) =>
  deliver({ ...message, url }, { ...lax, ...rules }, signal)

/** A server that speaks, or does not, as the test says. */
async function startRaw(t: TestContext, speak: (socket: net.Socket) => void): Promise<string> {
  const sockets = new Set<net.Socket>()
  const server = net.createServer((socket) => {
    sockets.add(socket)
    socket.on("error", () => {}).on("close", () => sockets.delete(socket))
    speak(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    return new Promise<void>((resolve) => server.close(() => resolve()))
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

/** Answers as soon as something was asked. */
const saying = (answer: string) => (socket: net.Socket) => void socket.once("data", () => socket.write(answer))

/** Goes on writing as long as somebody reads. */
function repeat(socket: net.Socket, text: string): void {
  const timer = setInterval(() => socket.write(text), 5)
  socket.on("close", () => clearInterval(timer))
}

test("a receiver gets a POST that it can verify", async (t) => {
  const { port, received } = await startReceiver(t)
  const outcome = await to(`http://127.0.0.1:${port}/hooks?from=trestle`)
  assert.deepEqual(outcome, { status: 204, trouble: null })
  assert.equal(received.length, 1)
  const { method, url, headers, body } = received[0]!
  assert.equal(`${method} ${url}`, "POST /hooks?from=trestle")
  assert.equal(headers["content-type"], "application/json")
  assert.equal(headers["content-length"], String(Buffer.byteLength(message.body)))
  assert.equal(headers.host, `127.0.0.1:${port}`)
  assert.equal(headers["webhook-id"], "msg_1")
  assert.equal(body, message.body)
  assert.deepEqual(verifyWebhook(secret, headers, body), JSON.parse(message.body))
})

test("only 2xx is a success", async (t) => {
  let status = 0
  const { port } = await startReceiver(t, (_, response) => response.writeHead(status).end("what\n is\t wrong"))
  for (status of [200, 201, 202, 299]) {
    assert.deepEqual(await to(`http://127.0.0.1:${port}/`), { status, trouble: null })
  }
  const troubles = {
    400: "It answered 400 Bad Request: what is wrong",
    404: "It answered 404 Not Found: what is wrong",
    410: "It answered 410 Gone: what is wrong",
    500: "It answered 500 Internal Server Error: what is wrong",
    599: "It answered 599: what is wrong",
  }
  for (const [code, trouble] of Object.entries(troubles)) {
    status = Number(code)
    assert.deepEqual(await to(`http://127.0.0.1:${port}/`), { status, trouble })
  }
})

test("a redirect is not followed, and says so", async (t) => {
  const elsewhere = await startReceiver(t)
  const location = `http://127.0.0.1:${elsewhere.port}/`
  let status = 0
  const { port, received } = await startReceiver(t, (_, response) => response.writeHead(status, { location }).end())
  for (status of [301, 302, 303, 307, 308]) {
    const outcome = await to(`http://127.0.0.1:${port}/`)
    assert.equal(outcome.status, status)
    assert.match(outcome.trouble!, /Redirects are not followed/)
  }
  assert.equal(received.length, 5)
  assert.equal(elsewhere.received.length, 0)
})

test("addresses inside are refused before anything is sent", async (t) => {
  const { port, received } = await startReceiver(t)
  for (const host of ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"]) {
    const { status, trouble } = await to(`http://${host}:${port}/`, strict)
    assert.equal(status, null)
    assert.match(trouble!, /private or local address/)
  }
  const resolve = async () => ["8.8.8.8", "127.0.0.1"]
  assert.match((await to(`http://receiver.example:${port}/`, { ...strict, resolve })).trouble!, /private or local/)
  assert.equal(received.length, 0)
})

test("without TLS nothing is sent where that is not allowed", async (t) => {
  const { port, received } = await startReceiver(t)
  const { trouble } = await to(`http://127.0.0.1:${port}/`, { allowHttp: false })
  assert.equal(trouble, "The address of a webhook begins with https://.")
  assert.equal(received.length, 0)
})

test("the address that was checked is the one that is connected to, whatever the name leads to a moment later", async (t) => {
  const checked = await startReceiver(t, undefined, { host: "127.0.0.1" })
  const other = await startReceiver(t, undefined, { host: "127.0.0.2", port: checked.port })
  const answers = [["127.0.0.1"], ["127.0.0.2"]]
  const asked: string[] = []
  const resolve = async (name: string) => {
    asked.push(name)
    return answers.shift()!
  }
  assert.equal((await to(`http://rebinding.example:${checked.port}/`, { resolve })).status, 204)
  assert.deepEqual(asked, ["rebinding.example"])
  assert.equal(checked.received[0]!.headers.host, `rebinding.example:${checked.port}`)
  assert.equal(other.received.length, 0)
})

test("when the first address of a name does not answer, the next one is called", async (t) => {
  const { port, received } = await startReceiver(t, undefined, { host: "127.0.0.2" })
  const resolve = async () => ["127.0.0.3", "127.0.0.2"]
  assert.equal((await to(`http://receiver.example:${port}/`, { resolve })).status, 204)
  assert.equal(received.length, 1)
})

test("TLS asks for the name and checks it, although it is an address that is connected to", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "webhooks-"))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const files = { certificate: join(folder, "certificate.pem"), key: join(folder, "key.pem") }
  await makeCertificate({ ...files, hosts: ["receiver.example"], days: 1 })
  const [key, cert] = [readFileSync(files.key, "utf8"), readFileSync(files.certificate, "utf8")]
  const { port, received } = await startReceiver(t, undefined, { tls: { key, cert } })
  const resolve = async () => ["127.0.0.1"]
  const unknown = await to(`https://receiver.example:${port}/`, { resolve })
  assert.match(unknown.trouble!, /^The connection failed: [A-Z_]*(CERT|SIGNED)[A-Z_]*\.$/)

  const usual = tls.getCACertificates()
  tls.setDefaultCACertificates([...usual, cert])
  t.after(() => tls.setDefaultCACertificates(usual))
  assert.equal((await to(`https://receiver.example:${port}/`, { resolve })).status, 204)
  assert.equal((await to(`https://receiver.example.:${port}/`, { resolve })).status, 204)
  assert.deepEqual(
    received.map(({ servername }) => servername),
    ["receiver.example", "receiver.example"],
  )
  const wrong = await to(`https://another.example:${port}/`, { resolve })
  assert.equal(wrong.trouble, "The connection failed: ERR_TLS_CERT_ALTNAME_INVALID.")
  assert.equal(received.length, 2)
})

test("a receiver that is not there has failed, and what is told names no address", async () => {
  const { port } = await new Promise<AddressInfo>((resolve) => {
    const server = net.createServer().listen(0, "127.0.0.1", () => {
      const address = server.address() as AddressInfo
      server.close(() => resolve(address))
    })
  })
  const gone = { status: null, trouble: "The connection failed: ECONNREFUSED." }
  assert.deepEqual(await to(`http://127.0.0.1:${port}/`), gone)
  const resolve = async () => ["127.0.0.1", "127.0.0.2"]
  assert.deepEqual(await to(`http://receiver.example:${port}/`, { resolve }), gone)
  const unknown = async () => {
    throw Object.assign(new Error("getaddrinfo ENOTFOUND receiver.example"), { code: "ENOTFOUND" })
  }
  const { trouble } = await to("http://receiver.example/", { resolve: unknown })
  assert.equal(trouble, "The connection failed: ENOTFOUND.")
})

test("what never comes to an end is over at the time limit", async (t) => {
  const silent = await startRaw(t, () => {})
  const slowHead = await startRaw(t, (socket) => {
    socket.write("HTTP/1.1 200 OK\r\n")
    repeat(socket, "X-Slow: 1\r\n")
  })
  const informing = await startRaw(t, (socket) => repeat(socket, "HTTP/1.1 103 Early Hints\r\n\r\n"))
  const late = { status: null, trouble: "There was no answer within 0.1 seconds." }
  for (const url of [silent, silent.replace("http:", "https:"), slowHead, informing]) {
    assert.deepEqual(await to(url, { timeoutMs: 100 }), late)
  }
  const resolve = () => new Promise<string[]>(() => {})
  assert.deepEqual(await to("http://receiver.example/", { timeoutMs: 100, resolve }), late)
})

test("a body that comes slowly, breaks off or never ends changes nothing of the status before it", async (t) => {
  const head = (status: string) => `HTTP/1.1 ${status}\r\nContent-Length: 1000000\r\n\r\n`
  const failed = { status: 500, trouble: "It answered 500 Internal Server Error: so far" }
  const slow = await startRaw(t, saying(`${head("200 OK")}so far`))
  const slowFailure = await startRaw(t, saying(`${head("500 No")}so far`))
  // Enough for the head on a machine that does other things.
  const limit = { timeoutMs: 3000 }
  const outcomes = await Promise.all([to(slow, limit), to(slowFailure, limit)])
  assert.deepEqual(outcomes, [{ status: 200, trouble: null }, failed])
  const broken = await startRaw(t, (socket) => socket.once("data", () => socket.end(`${head("500 No")}so far`)))
  assert.deepEqual(await to(broken), failed)
})

test("of a huge answer little is read, and less is kept", async (t) => {
  let sent = 0
  const closed = Promise.withResolvers<void>()
  const { port } = await startReceiver(t, (_, response) => {
    response.writeHead(500)
    const chunk = Buffer.alloc(65_536, "x")
    const more = () => {
      while (response.write(chunk)) sent += chunk.length
      sent += chunk.length
    }
    response.on("drain", more).on("close", closed.resolve)
    more()
  })
  const { trouble } = await to(`http://127.0.0.1:${port}/`)
  assert.equal(trouble, `It answered 500 Internal Server Error: ${"x".repeat(200)}`)
  await closed.promise
  // What the buffers of two sockets hold, and no more.
  assert.ok(sent < 50_000_000, `${sent} bytes`)
})

test("a huge head, a change of protocol and what is no HTTP are failures", async (t) => {
  const answers = {
    [`HTTP/1.1 200 OK\r\nX-Huge: ${"x".repeat(100_000)}\r\n\r\n`]: /HPE_HEADER_OVERFLOW/,
    "SSH-2.0-OpenSSH_9.6\r\n": /HPE_/,
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n": /ECONNRESET/,
  }
  for (const [answer, expected] of Object.entries(answers)) {
    const { status, trouble } = await to(await startRaw(t, saying(answer)))
    assert.equal(status, null)
    assert.match(trouble!, expected)
  }
})

test("what a receiver writes into its answer can be stored and shown in one line", async (t) => {
  const { port } = await startReceiver(t, (_, response) => {
    response.writeHead(500)
    response.end(
      Buffer.from(`\0\x1b[31mred\x1b[0m\r\n(WARN) forged \u202e\ufeff${"\u{1f3ac}".repeat(200)}\xff`, "utf8"),
    )
  })
  const { trouble } = await to(`http://127.0.0.1:${port}/`)
  assert.match(trouble!, /^It answered 500 Internal Server Error: \[31mred \[0m \(WARN\) forged [^\p{C}]+$/u)
  assert.ok(trouble!.isWellFormed())
})

test("a delivery that is called off says why, and ends its connection", async (t) => {
  const ended = Promise.withResolvers<void>()
  const begun = Promise.withResolvers<void>()
  const silent = await startRaw(t, (socket) => {
    socket.once("data", () => begun.resolve()).on("close", () => ended.resolve())
  })
  const controller = new AbortController()
  const delivery = to(silent, {}, controller.signal)
  await begun.promise
  const reason = new Error("The process ends.")
  controller.abort(reason)
  await assert.rejects(delivery, reason)
  await ended.promise
})
