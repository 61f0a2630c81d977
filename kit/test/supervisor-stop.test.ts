/** How a server stops: what it waits for, and what it does not wait for. */
import assert from "node:assert/strict"
import { once } from "node:events"
import net from "node:net"
import { test } from "node:test"
import { setTimeout as pause } from "node:timers/promises"
import { until } from "./embedded/scratch.ts"
import { ask, processes, startServer, statusOf, statusOfServer } from "./supervised.ts"

test("when the supervisor is killed its processes answer what they have, and end", async (t) => {
  const { server, url } = await startServer(t)
  const who = () => ask(`${url}/api/test/who`)
  const pids = await processes(who, 2)
  const slow = ask(`${url}/api/test/who?ms=1500`)
  await who()
  server.kill("SIGKILL")
  assert.ok(pids.includes((await slow).pid))
  // This comes when nobody holds its output any more.
  assert.equal((await server.ended).code, "SIGKILL")
})

test("a stop waits for requests, a second signal does not", async (t) => {
  const { server, url } = await startServer(t, {
    WORKERS_WEB: "1",
    WORKERS_JOBS: "1",
    WORKERS_STOP_TIMEOUT: "1 minute",
  })
  const slow = ask(`${url}/api/test/who?ms=60000`)
  const refused = assert.rejects(slow, /socket hang up|ECONNRESET/)
  await ask(`${url}/api/test/who`)
  server.kill("SIGTERM")
  await server.says(/Stopping \(SIGTERM\); a second time stops at once/)
  // Within half a second it would be the same wish, as a group gets it and a launcher passes it on.
  await pause(600)
  server.kill("SIGTERM")
  await refused
  assert.equal((await server.ended).code, 1)
})

test("a stop while a process is replaced is no error", async (t) => {
  const { server, who } = await startServer(t, { WORKERS_WEB: "1" })
  process.kill((await who()).pid, "SIGTERM")
  await server.says(/is replaced: SIGTERM/)
  server.kill("SIGTERM")
  const { code, stdout } = await server.ended
  assert.equal(code, 0)
  assert.doesNotMatch(stdout, /ERROR/)
})

test("a stop is told to load balancers first, and then refuses whoever comes", async (t) => {
  const { server, url } = await startServer(t, { WORKERS_WEB: "1", WORKERS_STOP_DELAY: "5 seconds" })
  const slow = ask(`${url}/api/test/who?ms=9000`)
  await ask(`${url}/api/test/who`)
  server.kill("SIGTERM")
  await server.says(/Stopping/)
  await until(async () => (await statusOf(`${url}/api/health/ready`)) === 503)
  assert.equal(await statusOf(`${url}/api/test/who`), 200)

  // Refused, not left to wait until the slow one is answered.
  const after = until(async () => {
    await ask(`${url}/api/test/who`)
    return false
  })
  const first = await Promise.race([slow.then(() => "answered"), after.catch(({ code }) => code)])
  assert.match(first, /ECONNREFUSED|ECONNRESET/)
  assert.ok((await slow).pid > 0)
  assert.equal((await server.ended).code, 0)
})

test("a stop does not wait for connections on which no TLS was spoken", async (t) => {
  const { project, server, url } = await startServer(t, { TLS_MODE: "self-signed", WORKERS_WEB: "1" })
  const { port } = new URL(url)
  const bare = [net.connect(Number(port), "127.0.0.1"), net.connect(Number(port), "localhost")]
  await Promise.all(bare.map((socket) => once(socket, "connect")))
  await until(async () => (await statusOfServer(project)).processes[0]!.connections >= bare.length)
  server.kill("SIGTERM")
  await Promise.all(bare.map((socket) => once(socket, "close")))
  const { code, stdout } = await server.ended
  assert.equal(code, 0)
  assert.doesNotMatch(stdout, /ERR_TLS_HANDSHAKE_TIMEOUT/)
})
