/** Processes that answer requests, and the supervisor that keeps them: whatever happens to one of them, the site goes on. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { until } from "./embedded/scratch.ts"
import { makeProject, type Project } from "./project.ts"
import { application, ask, processes, startServer, statusOf, statusOfServer } from "./supervised.ts"

/** How many processes are about to end. */
async function draining(project: Project): Promise<number> {
  const { processes } = await statusOfServer(project)
  return processes.filter(({ state }) => state === "draining").length
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

test("a limit holds over all processes", async (t) => {
  const { url } = await startServer(t, { RATE_LIMIT_ENABLED: "true", RATE_LIMIT_LIMIT: "100/hour", WORKERS_WEB: "4" })
  const statuses = await Promise.all(Array.from({ length: 150 }, () => statusOf(`${url}/api/test/who`)))
  assert.equal(statuses.filter((status) => status === 200).length, 100)
  assert.equal(statuses.filter((status) => status === 429).length, 50)
})
