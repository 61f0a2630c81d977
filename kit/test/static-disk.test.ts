// @together
/** Static files: what they cost the disk and memory, and what happens when they change or a client goes. */
import assert from "node:assert/strict"
import { once } from "node:events"
import { cpSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs"
import net from "node:net"
import { join } from "node:path"
import { test } from "node:test"
import { StaticFolder } from "../src/http/static/static-folder.ts"
import { ask } from "./raw-request.ts"
import { html, large, serveSite, site, siteFolder, until, write } from "./static-site.ts"

test("a changed, a new and a removed file are seen within a second", async (t) => {
  const { visitor, folder } = await serveSite(t)
  for (const [path, content] of Object.entries({ "robots.txt": "new text", "large.bin": Buffer.alloc(1_500_000) })) {
    const before = await visitor.get(`/${path}`)
    writeFileSync(join(folder, path), content)
    const changed = performance.now()
    const answer = await until(
      () => visitor.get(`/${path}`),
      ({ headers }) => headers.get("content-length") === String(content.length),
    )
    assert.ok(performance.now() - changed < 1500)
    assert.notEqual(answer.headers.get("etag"), before.headers.get("etag"))
    rmSync(join(folder, path))
    await until(
      () => visitor.get(`/${path}`),
      ({ status }) => status === 404,
    )
  }
  write(join(folder, "new.txt"), "new")
  assert.equal((await visitor.get("/new.txt")).body, "new")
})

test("a file that is replaced right after it was looked at is answered as it is now", async (t) => {
  const { url, folder } = await serveSite(t, { "large.bin": large, "page.txt": "small", "page.txt.br": large })
  // Of the page the plain file is in memory, what this client gets of it is not.
  for (const [path, file] of Object.entries({ "large.bin": "large.bin", "page.txt": "page.txt.br" })) {
    const get = () => ask(`${url}/${path}`, { headers: { "accept-encoding": "br" } })
    assert.equal((await get()).headers["content-length"], String(large.length))
    rmSync(join(folder, file))
    writeFileSync(join(folder, file), large.subarray(1))
    const { status, headers } = await get()
    assert.equal(status, 200)
    assert.equal(headers["content-length"], String(large.length - 1))
  }
})

test("only a client that does not take a file from memory at once has a time limit for it", async (t) => {
  const { url, server } = await serveSite(t, { "large.css": Buffer.alloc(1_000_000, "a") })
  const connected = once(server.server, "connection") as Promise<[net.Socket]>
  const socket = net.connect(Number(new URL(url).port), "127.0.0.1")
  t.after(() => socket.destroy())
  const [connection] = await connected
  socket.write("GET /large.css HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100))
  while (connection.timeout !== 60_000) await new Promise(setImmediate)
  assert.ok(connection.writableLength > 0)
  socket.resume()
  while (connection.timeout === 60_000 || connection.writableLength > 0) await new Promise(setImmediate)
  assert.ok(connection.bytesWritten > 100_000_000)
})

test("a file is looked at once a second at most, and read again only when it changed", async (t) => {
  const folder = join(siteFolder(t), "static")
  let now = 0
  const files = new StaticFolder(folder, 1_000_000, () => now)
  const first = await files.find("robots.txt")
  cpSync(join(folder, "style.css"), join(folder, "robots.txt"))
  now = 999
  assert.equal(await files.find("robots.txt"), first)
  now = 1000
  assert.equal(files.fresh("robots.txt"), undefined)
  const [second, same] = await Promise.all([files.find("robots.txt"), files.find("robots.txt")])
  assert.equal(second?.plain.body?.toString(), "body {}")
  assert.equal(second, same)

  // One of this repository: the others were written too lately to trust their times.
  const old = new StaticFolder(join(import.meta.dirname, "sample"), 1_000_000, () => now)
  const before = await old.find("app.ts")
  now = 2000
  assert.equal(old.fresh("app.ts"), undefined)
  const after = await old.find("app.ts")
  assert.ok(before?.plain.body)
  assert.equal(after?.plain.body, before.plain.body)
})

test("a file that changes twice within the clock of the file system is not taken for its first state", async (t) => {
  const folder = join(siteFolder(t), "static")
  let now = 0
  const files = new StaticFolder(folder, 1_000_000, () => now)
  for (let round = 0; round < 20; round++) {
    writeFileSync(join(folder, "twice.txt"), `first ${round % 10}`)
    await files.find("twice.txt")
    writeFileSync(join(folder, "twice.txt"), `other ${round % 10}`)
    now += 1000
    assert.equal((await files.find("twice.txt"))?.plain.body?.toString(), `other ${round % 10}`)
    now += 1000
  }
})

test("small files take no more memory than they may, and the least used go first", async (t) => {
  const names = ["a", "b", "c", "d"]
  const folder = join(
    siteFolder(t, Object.fromEntries(names.map((name) => [name, Buffer.alloc(300_000, name)]))),
    "static",
  )
  let now = 0
  const files = new StaticFolder(folder, 1_000_000, () => now)
  for (const name of ["a", "b", "c"]) await files.find(name)
  now = 1000
  await files.find("a")
  await files.find("d")
  assert.deepEqual(
    names.filter((name) => files.fresh(name)),
    ["a", "d"],
  )
  assert.equal((await files.find("c"))?.plain.body?.length, 300_000)
  const none = new StaticFolder(folder, 0, () => now)
  assert.equal((await none.find("a"))?.plain.body, undefined)
})

test("without memory for them, small and empty files are streamed", async (t) => {
  const { visitor } = await serveSite(t, site, { env: { STATIC_FILES_MEMORY: "1 B" } })
  assert.equal((await visitor.get("/robots.txt")).body, site["robots.txt"])
  assert.equal((await visitor.get("/empty.txt")).status, 200)
  assert.equal((await visitor.get("/nothing", html)).body, site["404.html"])
})

const hasProc = process.platform === "linux"

test("a client that hangs up leaves no file open", { skip: hasProc ? false : "no /proc" }, async (t) => {
  const { url, visitor, folder } = await serveSite(t, { "huge.bin": Buffer.alloc(30_000_000) })
  const { port } = new URL(url)
  const isOpen = () =>
    readdirSync("/proc/self/fd").some((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).startsWith(folder)
      } catch {
        return false
      }
    })
  for (let i = 0; i < 20; i++) {
    const socket = net.connect(Number(port), "127.0.0.1", () => {
      socket.write("GET /huge.bin HTTP/1.1\r\nHost: x\r\n\r\n")
      // Half of them before the file is open.
      if (i % 2 === 0) socket.destroy()
    })
    socket.once("data", () => socket.destroy())
    await new Promise((resolve) => socket.once("close", resolve))
  }
  await until(
    async () => isOpen(),
    (open) => !open,
  )
  await visitor.call("HEAD", "/huge.bin")
  await visitor.get("/huge.bin", { "if-none-match": "*" })
  assert.equal(isOpen(), false)
})

test("a download takes as long as the client needs, beyond the time of requests", async (t) => {
  const env = { WORKERS_REQUEST_TIMEOUT: "300 ms" }
  const { url } = await serveSite(t, { "huge.bin": Buffer.alloc(30_000_000) }, { env })
  const { port } = new URL(url)
  const socket = net.connect(Number(port), "127.0.0.1")
  socket.write("GET /huge.bin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
  const began = performance.now()
  let received = 0
  socket.on("data", (chunk) => {
    received += chunk.length
    // A slow reader: it takes nothing until well after the time-out and the look that would notice.
    if (performance.now() - began < 800) {
      socket.pause()
      setTimeout(() => socket.resume(), 100)
    }
  })
  await new Promise((resolve) => socket.once("close", resolve))
  assert.ok(received > 30_000_000)
})

test("a file that is cut while it is sent ends the connection instead of the next answer beginning in it", async (t) => {
  const { url, folder } = await serveSite(t, { "huge.bin": Buffer.alloc(30_000_000) })
  const { port } = new URL(url)
  const socket = net.connect(Number(port), "127.0.0.1")
  socket.write("GET /huge.bin HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2))
  await new Promise((resolve) => socket.once("readable", resolve))
  writeFileSync(join(folder, "huge.bin"), "short")
  let received = ""
  socket.on("data", (chunk) => (received += chunk.toString("latin1")))
  await new Promise((resolve) => socket.once("close", resolve))
  assert.equal(received.match(/HTTP\/1\.1 /g)?.length, 1)
})
