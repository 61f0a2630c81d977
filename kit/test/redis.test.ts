/** The connection to Redis: when it fails, how soon, what is said, and that it comes back. */
import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import net, { type AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import tls from "node:tls"
import { promisify } from "node:util"
import { BootError } from "../src/core/errors.ts"
import { Log } from "../src/core/log.ts"
import { isUnreachable } from "../src/db/database.ts"
import { openRedis } from "../src/db/redis.ts"
import { makeCertificate } from "../src/http/certificates.ts"
import { openStore } from "../src/store/store.ts"
import { noRedis, startRedis } from "./redis.ts"

const run = promisify(execFile)
const skip = { skip: noRedis }

/** A Redis, and a store in it. */
async function open(t: TestContext) {
  const server = await startRedis(t)
  const log: string[] = []
  const redis = await openRedis(server.url, "test:", new Log("info", "server", (line) => void log.push(line)))
  const kv = openStore({ database: undefined as never, redis, log: new Log("error") })
  t.after(async () => {
    kv.close()
    await redis.close()
  })
  return { server, redis, kv, log }
}

/** What a call failed with, and after how many milliseconds. */
async function failure(call: Promise<unknown>): Promise<{ error: Error; ms: number }> {
  const began = performance.now()
  return call.then(
    (value) => assert.fail(`it succeeded with ${JSON.stringify(value)}`),
    (error) => ({ error, ms: performance.now() - began }),
  )
}

/** Asks until it answers. */
async function recovered<T>(ask: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      assert.ok(isUnreachable(error), String(error))
      await new Promise(setImmediate)
    }
  }
}

test("a Redis that hangs fails every call within two seconds, and is back when it answers", skip, async (t) => {
  const { server, kv, log } = await open(t)
  await kv.set("key", 1)
  server.freeze()
  const calls = [
    kv.get("key"),
    kv.set("key", 2),
    kv.delete("key"),
    kv.increment("key"),
    kv.swap("key", 3),
    kv.append("list", 1),
    kv.pop("list"),
    kv.pop("list", { wait: "1 minute" }),
    kv.length("list"),
  ]
  // One more in each turn of the event loop, while the first ones wait.
  for (let i = 0; i < 20; i++) {
    calls.push(kv.get("key"))
    await new Promise(setImmediate)
  }
  for (const { error, ms } of await Promise.all(calls.map(failure))) {
    assert.match(error.message, /^it does not answer$/)
    assert.ok(isUnreachable(error))
    assert.ok(ms < 20_000, `${ms} ms`)
  }
  // From now on at once.
  const next = await failure(kv.get("key"))
  assert.ok(isUnreachable(next.error))
  assert.ok(next.ms < 20_000, `${next.ms} ms`)
  server.thaw()
  assert.equal(typeof (await recovered(() => kv.increment("other"))), "number")
  assert.match(
    log.join(""),
    /WARNING\) redis: Redis cannot be reached: it does not answer\. Trying again until it can\./,
  )
  assert.match(log.join(""), /INFO\) redis: Redis answers again\./)
  assert.ok(!log.join("").includes(server.password))
})

test("a Redis that was killed fails every call at once, and nothing is sent later", skip, async (t) => {
  const { server, kv, log } = await open(t)
  const waiting = failure(kv.pop("list", { wait: "1 minute" }))
  await server.kill()
  for (let i = 0; i < 50; i++) {
    const { error, ms } = await failure(kv.increment("counter"))
    assert.equal(error.name, "RedisUnreachable")
    assert.ok(isUnreachable(error))
    assert.ok(ms < 20_000, `${ms} ms`)
  }
  // It looks once a second.
  assert.ok(isUnreachable((await waiting).error))
  await server.start()
  assert.equal(await recovered(() => kv.get("counter").then((value) => value ?? "none")), "none")
  assert.equal(await kv.increment("counter"), 1)
  assert.equal(log.filter((line) => line.includes("cannot be reached")).length, 1)
})

test("who waits is told of items again after an outage", skip, async (t) => {
  const { server, redis, kv } = await open(t)
  const first = failure(kv.pop("list", { wait: "1 minute" }))
  await server.kill()
  await first
  await server.start()
  await recovered(() => redis.client.ping())
  const waiting = kv.pop("list", { wait: "1 minute" })
  await kv.append("list", "here")
  assert.equal(await waiting, "here")
})

test("a process that is busy for long does not take that for silence", skip, async (t) => {
  const { kv, log } = await open(t)
  await kv.set("key", 1)
  const asked = kv.get("key")
  // The command is sent, and its answer comes while nobody can read it.
  await new Promise(setImmediate)
  const end = performance.now() + 2000
  while (performance.now() < end);
  assert.equal(await asked, 1)
  assert.deepEqual(log, [])
})

test("scripts that Redis has forgotten are sent again", skip, async (t) => {
  const { redis, kv } = await open(t)
  assert.equal(await kv.increment("key"), 1)
  await redis.client.script("FLUSH")
  assert.deepEqual(await Promise.all([kv.increment("key"), kv.increment("key")]), [2, 3])
})

test("applications with other prefixes do not meet", skip, async (t) => {
  const { server, kv } = await open(t)
  const redis = await openRedis(server.url, "other:", new Log("error"))
  const other = openStore({ database: undefined as never, redis, log: new Log("error") })
  t.after(() => redis.close())
  await kv.set("key", 1)
  await kv.append("list", 1)
  assert.equal(await other.get("key"), undefined)
  assert.equal(await other.pop("list"), undefined)
  assert.equal(await redis.client.get("test:kv:key"), "1")
})

test("a start without a Redis that works says what to do, and no password", skip, async (t) => {
  const server = await startRedis(t)
  const log: string[] = []
  const refused = (url: string) =>
    openRedis(url, "test:", new Log("info", "server", (line) => void log.push(line))).then(
      () => assert.fail("it connected"),
      (error) => {
        assert.ok(error instanceof BootError)
        assert.equal(error.cause, undefined)
        return error.message
      },
    )
  const place = `127\\.0\\.0\\.1:${server.port}`
  assert.match(
    await refused("redis://:secret@127.0.0.1:1"),
    /^Redis at 127\.0\.0\.1:1 does not work: connect ECONNREFUSED/,
  )
  assert.match(
    await refused(server.url.replace(server.password, "wrong-secret")),
    new RegExp(`^Redis at ${place} does not work: WRONGPASS .*[^.]\\. Start it, or correct REDIS_URL\\.$`),
  )
  assert.match(await refused(server.url.replace(`:${server.password}@`, "")), /NOAUTH/)
  assert.match(
    await refused(`${server.url}/movies`),
    /^REDIS_URL ends with \/movies, but a database of Redis is a number/,
  )
  assert.match(await refused("redis://:secret@no-such-host.invalid"), /ENOTFOUND|EAI_AGAIN/)
  server.freeze()
  const began = performance.now()
  assert.match(await refused(server.url), /does not work: it does not answer/)
  assert.ok(performance.now() - began < 20_000)
  assert.deepEqual(log, [])
})

test("a Redis that accepts and says nothing is given up within two seconds", async (t) => {
  const silent = net.createServer().listen(0, "127.0.0.1")
  t.after(() => silent.close())
  await new Promise((resolve) => silent.once("listening", resolve))
  const { port } = silent.address() as AddressInfo
  const opening = ["redis", "rediss"].map((protocol) =>
    failure(openRedis(`${protocol}://127.0.0.1:${port}`, "test:", new Log("error"))),
  )
  for (const { error, ms } of await Promise.all(opening)) {
    assert.match(error.message, /does not answer|ETIMEDOUT/)
    assert.ok(ms < 20_000, `${ms} ms`)
  }
})

test("rediss:// is with TLS, and only with a server whose certificate is good", skip, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "redis-tls-"))
  t.after(() => rmSync(folder, { recursive: true }))
  const files = { certificate: join(folder, "certificate.pem"), key: join(folder, "key.pem") }
  await makeCertificate({ ...files, hosts: [], days: 1 })
  const server = await startRedis(t, { tls: files })
  const { error } = await failure(openRedis(server.url, "test:", new Log("error")))
  assert.match(error.message, /^Redis at .* does not work: self-signed certificate/)

  const trusted = tls.getCACertificates("default")
  tls.setDefaultCACertificates([...trusted, readFileSync(files.certificate, "utf8")])
  t.after(() => tls.setDefaultCACertificates(trusted))
  const redis = await openRedis(server.url, "test:", new Log("error"))
  assert.equal(await redis.client.ping(), "PONG")
  assert.ok(redis.client.stream instanceof tls.TLSSocket)
  await redis.close()
})

for (const outage of ["", "frozen", "killed"]) {
  const name = outage && `, also when Redis was ${outage} meanwhile`
  test(`a process ends when the store and the connection are closed${name}`, skip, async (t) => {
    const server = await startRedis(t)
    const kit = join(import.meta.dirname, "../src")
    const program = `
      import { openRedis } from "${kit}/db/redis.ts"
      import { openStore } from "${kit}/store/store.ts"
      import { Log } from "${kit}/core/log.ts"
      const redis = await openRedis(process.env.REDIS_URL, "test:", new Log("error"))
      const kv = openStore({ redis, log: new Log("error") })
      const waiting = kv.pop("list", { wait: "1 minute" }).catch(() => {})
      await kv.set("key", 1)
      process.stdout.write("ready")
      process.stdin.once("data", async () => {
        process.stdin.destroy()
        kv.close()
        await waiting
        await redis.close()
        process.stderr.write(String(performance.now()))
        process.on("exit", () => process.stderr.write(" " + performance.now()))
      })`
    const running = run(process.execPath, ["--input-type=module", "-e", program], {
      env: { ...process.env, REDIS_URL: server.url },
    })
    await new Promise((resolve) => running.child.stdout!.once("data", resolve))
    if (outage === "frozen") server.freeze()
    if (outage === "killed") await server.kill()
    running.child.stdin!.write("end")
    const [closed, ended] = (await running).stderr.split(" ").map(Number)
    assert.ok(ended! - closed! < 20_000, `${ended! - closed!} ms`)
  })
}
