// @together
/** Lines for syslog, as a server receives them. */
import assert from "node:assert/strict"
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { type TestContext, test } from "node:test"
import { loadConfig } from "../src/core/config/index.ts"
import { openLog } from "../src/core/log/open.ts"
import { Syslog } from "../src/core/log/syslog.ts"
import { scratch, write } from "./log/processes.ts"

/** A syslog server; `next` gives the next message that came. */
async function listen(t: TestContext, type: "udp4" | "udp6" = "udp4") {
  const server = createSocket(type)
  t.after(() => server.close())
  const queue: string[] = []
  let wake = () => {}
  server.on("message", (message) => {
    queue.push(message.toString())
    wake()
  })
  server.bind(0, type === "udp4" ? "127.0.0.1" : "::1")
  await once(server, "listening")
  return {
    port: server.address().port,
    async next(): Promise<string> {
      while (queue.length === 0) await new Promise<void>((resolve) => (wake = resolve))
      return queue.shift()!
    },
  }
}

test("each line is a message of RFC 5424 with its severity, in UTC", async (t) => {
  const server = await listen(t)
  const syslog = new Syslog(`127.0.0.1:${server.port}`, "my movies")
  const priorities = { debug: 135, info: 134, warn: 132, error: 131 } as const
  for (const [level, priority] of Object.entries(priorities)) {
    syslog.write(`(X) movies: said\n`, level as keyof typeof priorities)
    const time = "\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z"
    const expected = new RegExp(`^<${priority}>1 ${time} [!-~]+ mymovies ${process.pid} - - \\(X\\) movies: said$`)
    assert.match(await server.next(), expected)
  }
  await syslog.close()
})

test("a message has no control characters and at most 2,048 bytes, of whole characters", async (t) => {
  const server = await listen(t)
  const syslog = new Syslog(`127.0.0.1:${server.port}`, "movies")
  syslog.write(`a\nb\x1bc\u2028${"é".repeat(2000)}`, "info")
  const message = await server.next()
  assert.match(message, /a\\nb\\x1bc\\u2028é+$/)
  assert.ok(Buffer.byteLength(message) <= 2048 && Buffer.byteLength(message) > 2040)
  await syslog.close()
})

test("IPv6 addresses work", async (t) => {
  const server = await listen(t, "udp6").catch(() => undefined)
  if (!server) return t.skip("no IPv6 here")
  const syslog = new Syslog(`[::1]:${server.port}`, "movies")
  syslog.write("hello", "info")
  assert.match(await server.next(), /hello$/)
  await syslog.close()
})

test("a process logs there too, without the local time, and ends", async (t) => {
  const server = await listen(t)
  const env = { LOGGING_SYSLOG: `127.0.0.1:${server.port}`, LOGGING_FILE: "none" }
  const { code } = await write(t, { folder: scratch(t), env, lines: 1 })
  assert.equal(code, 0)
  assert.match(await server.next(), /^<134>1 \S+ \S+ writer \d+ - - \(INFO\) server: one:1::end$/)
})

test("a syslog server that is not there, or a name that nobody knows, hurts nothing", async (t) => {
  for (const address of ["127.0.0.1:9", "no-such-host.invalid:514"]) {
    const env = { LOGGING_SYSLOG: address, LOGGING_FILE: "none" }
    const { code, errors } = await write(t, { folder: scratch(t), env, lines: 500 })
    assert.equal(`${code}${errors}`, "0")
  }
  const { logging } = loadConfig({ folder: "/nonexistent", env: { LOGGING_FILE: "none", LOGGING_LEVEL: "error" } })
  const { log, close } = openLog({ ...logging, syslog: "127.0.0.1:9" }, { folder: "/nonexistent" })
  await close()
  log.info("left out")
})
