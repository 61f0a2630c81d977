/** Processes that answer requests, and the supervisor that keeps them: whatever happens to one of them, the site goes on. */
import assert from "node:assert/strict"
import { once } from "node:events"
import http from "node:http"
import net from "node:net"
import { type TestContext, test } from "node:test"
import { ledgersOf } from "../src/db/migrations.ts"
import { createTestDatabase } from "../src/db/test-database.ts"
import type { Status } from "../src/supervisor/status.ts"
import { until } from "./embedded/scratch.ts"
import { makeProject, type Project, urlOf } from "./project.ts"

/** Says which process answers, and blocks, crashes or waits when it is asked to. */
const application = (version = 1) => `import { type Api, defineApp, Type } from "trestle"

const open = { role: "visitor", schema: { querystring: Type.Object({ ms: Type.Integer({ default: 0 }) }), response: { 200: Type.Any() } } } as const
const routes = (api: Api) => {
  /** Says who answers. */
  api.get("/who", open, async ({ query }) => {
    if (query.ms > 0) await new Promise((resolve) => setTimeout(resolve, query.ms))
    return { pid: process.pid, version: ${version} }
  })
  /** Stands still. */
  api.get("/block", open, async () => {
    for (;;);
  })
  /** Never answers. */
  api.get("/never", { ...open, timeout: "500 ms" }, async ({ signal }) => {
    await new Promise((resolve) => signal.addEventListener("abort", () => (console.log("aborted"), resolve(1))))
    await new Promise(() => {})
  })
}
export default defineApp({ name: "sample", routes: { test: routes }, folder: import.meta.dirname })
`

interface Who {
  pid: number
  version: number
}

/** A project whose server runs, on a database that is there already. */
async function startServer(t: TestContext, env: Record<string, string> = {}) {
  const { address, drop } = await createTestDatabase(await ledgersOf("/nonexistent"))
  t.after(drop)
  const project = await makeProject(t, { "app/app.ts": application() })
  const settings = { DATABASE_URL: urlOf(address), WORKERS_WEB: "2", RATE_LIMIT_ENABLED: "false", ...env }
  const server = project.start(["start"], settings)
  const [, url = ""] = await server.says(/is at (http\S+)\n/)
  const who = async (path = "/who"): Promise<Who> => (await fetch(`${url}/api/test${path}`)).json() as Promise<Who>
  return { project, server, url, who, settings }
}

async function statusOfServer(project: Project): Promise<Status> {
  return JSON.parse((await project.run(["status", "--json"])).stdout) as Status
}

/** How many processes are about to end. */
async function draining(project: Project): Promise<number> {
  const { processes } = await statusOfServer(project)
  return processes.filter(({ state }) => state === "draining").length
}

/** Asks over new connections until the answers come from so many processes. */
async function processes(who: () => Promise<Who>, count: number, isTrue = (_: Who) => true): Promise<number[]> {
  const pids = new Set<number>()
  await until(async () => {
    pids.clear()
    for (let i = 0; i < 40 && pids.size < count; i++) {
      const answer = await who()
      if (isTrue(answer)) pids.add(answer.pid)
    }
    return pids.size >= count
  })
  return [...pids]
}

/** One request on a connection of its own. */
function ask(url: string): Promise<Who> {
  return new Promise((resolve, reject) => {
    const request = http.get(url, { agent: new http.Agent({ keepAlive: false }) }, async (response) => {
      let text = ""
      for await (const chunk of response) text += chunk
      resolve(JSON.parse(text))
    })
    request.on("error", reject)
  })
}

test("whatever happens to processes, the site goes on", async (t) => {
  const { project, server, url } = await startServer(t)
  const who = () => ask(`${url}/api/test/who`)

  await t.test("one that was killed is replaced", async () => {
    const [first] = await processes(who, 2)
    process.kill(first!, "SIGKILL")
    await server.says(/web \d \(pid \d+\) ended: SIGKILL. Another one takes its place/)
    assert.equal((await processes(who, 2)).includes(first!), false)
  })

  await t.test("with all of them killed connections wait, and none is refused", async () => {
    const pids = await processes(who, 2)
    for (const pid of pids) process.kill(pid, "SIGKILL")
    const answers = await Promise.all(Array.from({ length: 40 }, who))
    assert.equal(answers.filter(({ pid }) => pids.includes(pid)).length, 0)
  })

  await t.test("a reload brings new code, and no request fails", async () => {
    const former = await processes(who, 2)
    const slow = ask(`${url}/api/test/who?ms=2000`)
    await who()
    await project.write("app/app.ts", application(2))
    server.kill("SIGHUP")
    await server.says(/Reloaded: 2 processes of generation 2/)
    assert.ok(former.includes((await slow).pid), "a request in flight was not answered by the process that had it")
    for (let i = 0; i < 40; i++) assert.equal((await who()).version, 2)
  })

  await t.test("a version that cannot begin changes nothing, and trestle reload says why", async () => {
    const former = await processes(who, 2)
    await project.write("app/app.ts", 'throw new Error("not today")')
    const { code, stderr } = await project.run(["reload"])
    assert.equal(code, 1)
    const refusal = "Not reloaded, and nothing has changed: Error: not today"
    assert.equal(stderr.split("\n")[0], refusal)
    await server.says(new RegExp(`\\(ERROR\\) supervisor: ${refusal}$`, "m"))
    assert.deepEqual(new Set(await processes(who, 2)), new Set(former))
  })

  await t.test("what an application says to its parent, or writes to the watchdog's pipe, ends nobody", async () => {
    const talk = 'import { writeSync } from "node:fs"\nprocess.send?.(null)\nwriteSync(4, `{"blocked":5}\\n`)\n'
    await project.write("app/app.ts", talk + application(3))
    const { code, stderr } = await project.run(["reload"])
    assert.equal(code, 0, stderr)
    assert.equal((await who()).version, 3)
  })

  await t.test("trestle status shows them", async () => {
    const { generation, state, processes } = await statusOfServer(project)
    assert.deepEqual({ generation, state }, { generation: 3, state: "running" })
    const ready = processes.filter((one) => one.state === "ready").map(({ name }) => name)
    assert.deepEqual(ready, ["web 1", "web 2"])
  })

  server.kill("SIGTERM")
  assert.equal((await server.ended).code, 0)
})

test("a reload may bring fewer processes, and goes on where one cannot begin", async (t) => {
  const { project, server, url } = await startServer(t, { WORKERS_WEB: "", WORKERS_STOP_TIMEOUT: "1 second" })
  const who = () => ask(`${url}/api/test/who`)
  const settings = (web: number) => project.write("config.json", JSON.stringify({ workers: { web } }))
  await settings(3)
  assert.equal((await project.run(["reload"])).code, 0)
  await processes(who, 3)
  await settings(2)
  assert.equal((await project.run(["reload"])).code, 0)

  await t.test("the place of one that is no longer wanted is not filled", async () => {
    // Of each of the three one has ended, replaced or not.
    await until(async () => (await draining(project)) === 0)
    assert.equal((await statusOfServer(project)).processes.length, 2)
  })

  await t.test("a reload does not wait for a process that is tried again and again", async () => {
    await project.write("app/app.ts", 'throw new Error("not today")')
    const { processes } = await statusOfServer(project)
    process.kill(processes[0]!.pid!, "SIGKILL")
    await server.says(/web 1 is tried again in/)
    const { code, stderr } = await project.run(["reload"])
    assert.equal(code, 1)
    assert.match(stderr, /not today/)
  })

  await t.test("and fills its place at once with a version that can", async () => {
    await project.write("app/app.ts", application(2))
    assert.equal((await project.run(["reload"])).code, 0)
    assert.equal((await processes(who, 2, ({ version }) => version === 2)).length, 2)
  })

  await t.test("when a later process cannot begin it is tried again, so that no two versions stay", async () => {
    const once = `import { existsSync, writeFileSync } from "node:fs"
if (process.env.TRESTLE_PROCESS === "web 2" && !existsSync("tried")) {
  writeFileSync("tried", "")
  throw new Error("just now")
}
`
    await project.write("app/app.ts", once + application(3))
    const { code, stderr } = await project.run(["reload"])
    assert.equal(code, 0, stderr)
    await server.says(/just now[\s\S]*web 2 is replaced in 100 ms/)
    assert.equal((await processes(who, 2, ({ version }) => version === 3)).length, 2)
  })

  await t.test("what it cannot change is told each time, and the status knows that TLS is spoken now", async () => {
    const changed = { workers: { web: 2 }, logging: { level: "debug" }, tls: { mode: "self-signed" } }
    await project.write("config.json", JSON.stringify(changed))
    for (let round = 0; round < 2; round++) {
      assert.equal((await project.run(["reload"])).code, 0)
      await server.says(/A reload does not change logging of the supervisor itself: restart the server for that/)
    }
    assert.match((await statusOfServer(project)).url, /^https:/)
  })

  server.kill("SIGTERM")
  const { code, stdout } = await server.ended
  assert.equal(code, 0)
  // Nothing is wrong when a process ends that is no longer wanted.
  assert.doesNotMatch(stdout, /ended: replaced/)
})

test("a version that waits for ever as it begins is given up", async (t) => {
  const { project, server } = await startServer(t, { WORKERS_WEB: "1" })
  // Read by the version that is there, it counts for the next one.
  await project.write("config.json", JSON.stringify({ workers: { boot_timeout: "10 seconds" } }))
  assert.equal((await project.run(["reload"])).code, 0)
  await project.write("app/app.ts", "await new Promise(() => {})")
  const { code, stderr } = await project.run(["reload"])
  assert.equal(code, 1)
  assert.match(stderr, /web 1 ended before it was ready: it did not begin within 10 s \(workers.boot_timeout\)/)
  server.kill("SIGTERM")
  assert.equal((await server.ended).code, 0)
})

test("a first start that cannot begin says why and ends with code 3", async (t) => {
  const project = await makeProject(t, { "app/app.ts": 'throw new Error("not today")' })
  const { code, stderr, stdout } = await project.run(["start"])
  assert.equal(code, 3)
  assert.match(stderr, /Error: not today\n.*app\.ts:1/s)
  assert.equal(stdout.match(/Trying again/g)?.length, 4)
})

test("a process that stands still is replaced, and the line is named", async (t) => {
  const { server, url } = await startServer(t, { WORKERS_BLOCK_TIMEOUT: "1 second" })
  const who = () => ask(`${url}/api/test/who`)
  await processes(who, 2)
  const blocked = ask(`${url}/api/test/block`)
  await assert.rejects(blocked, /socket hang up|ECONNRESET/)
  await server.says(/HARAKIRI: web \d \(pid \d+\) stood still for [\d.]+ s and was killed/)
  await server.says(/app\/app\.ts:12:\d+/)
  await server.says(/GET \/api\/test\/block of a visitor since \d+ ms/)
  await server.says(/Another one takes its place/)
  const [next] = await processes(who, 2)

  // Nothing inside of a process that was stopped can notice it.
  process.kill(next!, "SIGSTOP")
  await server.says(/says nothing any more and is killed/)
  await server.says(/Another one takes its place/)
  await processes(who, 2)
})

test("a request over its time is answered 503, its signal aborts and the log says HARAKIRI", async (t) => {
  const { server, url } = await startServer(t, { WORKERS_WEB: "1" })
  const { status } = await fetch(`${url}/api/test/never`)
  assert.equal(status, 503)
  await server.says(/aborted/)
  await server.says(
    /HARAKIRI in web \d \(pid \d+\): GET \/api\/test\/never of a visitor took too long and was stopped after/,
  )
})

test("a process that has answered its number of requests is replaced, and none of them fails", async (t) => {
  const { server, url } = await startServer(t, { WORKERS_MAX_REQUESTS: "100" })
  const who = () => ask(`${url}/api/test/who`)
  const pids = new Set<number>()
  await until(async () => {
    for (const { pid } of await Promise.all(Array.from({ length: 10 }, who))) pids.add(pid)
    return pids.size >= 6
  })
  await server.says(/is replaced: it has answered \d+ requests/)
})

test("a soft limit below what a process begins with is told, and replaces nothing", async (t) => {
  const { project, server, url } = await startServer(t, { WORKERS_SOFT_MEMORY: "20 MB", WORKERS_MAX_REQUESTS: "100" })
  await server.says(/web 2 uses \d+ MB before it has done anything, more than workers.soft_memory/)
  const who = () => ask(`${url}/api/test/who`)
  const pids = new Set<number>()
  // Their requests are what they are replaced for, some seconds later.
  await until(async () => {
    for (const { pid } of await Promise.all(Array.from({ length: 10 }, who))) pids.add(pid)
    return pids.size >= 4
  })
  const { processes } = await statusOfServer(project)
  for (const { lastEnd } of processes) assert.doesNotMatch(lastEnd ?? "", /soft_memory/)
})

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
  const { server, url } = await startServer(t, { WORKERS_WEB: "1" })
  const slow = ask(`${url}/api/test/who?ms=1500`)
  await ask(`${url}/api/test/who`)
  server.kill("SIGTERM")
  await slow
  const { code, stdout } = await server.ended
  assert.equal(code, 0)
  assert.match(stdout, /Stopping \(SIGTERM\)/)
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

test("an application's own programs run as long as the server does", async (t) => {
  const program =
    'process.on("SIGTERM", () => { console.log("program ends"); process.exit() }); console.log("program " + process.pid); setInterval(() => {}, 1000)'
  const project = await makeProject(t, {
    "app/app.ts": `import { defineApp } from "trestle"
export default defineApp({ name: "sample", routes: {}, programs: { ticker: { command: "node", args: ["app/ticker.ts"] } }, folder: import.meta.dirname })
`,
    "app/ticker.ts": program,
  })
  await project.seed()
  const server = project.start(["start"])
  const [, pid] = await server.says(/program (\d+)/)
  process.kill(Number(pid), "SIGKILL")
  await server.says(/The program ticker ended: SIGKILL/)
  const [, next] = await server.says(/program (\d+)/)
  assert.notEqual(next, pid)
  server.kill("SIGTERM")
  await server.says(/program ends/)
  assert.equal((await server.ended).code, 0)
})

test("a program that cannot be started ends neither the server nor a reload, and a stop meanwhile starts no other", async (t) => {
  const app = (command: string, file: string) => `import { defineApp } from "trestle"
const programs = { ticker: { command: ${JSON.stringify(command)}, args: [${JSON.stringify(file)}] } }
export default defineApp({ name: "sample", routes: {}, programs, folder: import.meta.dirname })
`
  const project = await makeProject(t, {
    "app/app.ts": app("", ""),
    "app/first.ts":
      'process.on("SIGTERM", () => console.log("it stays")); console.log("first"); setInterval(() => {}, 1000)',
    "app/second.ts": 'console.log("successor")',
  })
  await project.seed()
  const server = project.start(["start"], { WORKERS_STOP_TIMEOUT: "1 second" })
  await server.says(/The program ticker ended: .*cannot be empty/)
  await project.write("app/app.ts", app("node", "app/first.ts"))
  const { code } = await project.run(["reload"])
  assert.equal(code, 0)
  await server.says(/first/)

  // The reload waits for the former one, and is overtaken by the stop.
  await project.write("app/app.ts", app("node", "app/second.ts"))
  server.kill("SIGHUP")
  await server.says(/it stays/)
  server.kill("SIGTERM")
  const { code: end, stdout } = await server.ended
  assert.equal(end, 0)
  assert.doesNotMatch(stdout, /successor/)
})

test("a limit holds over all processes", async (t) => {
  const { url } = await startServer(t, { RATE_LIMIT_ENABLED: "true", RATE_LIMIT_LIMIT: "100/hour", WORKERS_WEB: "4" })
  const statuses = await Promise.all(Array.from({ length: 150 }, () => statusOf(`${url}/api/test/who`)))
  assert.equal(statuses.filter((status) => status === 200).length, 100)
  assert.equal(statuses.filter((status) => status === 429).length, 50)
})

/** Asked on a connection of its own. */
function statusOf(url: string): Promise<number> {
  return new Promise((resolve, reject) => {
    http
      .get(url, { agent: new http.Agent({ keepAlive: false }) }, (response) => {
        response.resume()
        resolve(response.statusCode!)
      })
      .on("error", reject)
  })
}
