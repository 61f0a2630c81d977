/** Processes that are replaced: they stood still, or have had their requests. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { until } from "./embedded/scratch.ts"
import { ask, processes, startServer, statusOf, statusOfServer } from "./supervised.ts"

test("what takes too long is ended, and the log says HARAKIRI", async (t) => {
  const { server, url } = await startServer(t, { WORKERS_BLOCK_TIMEOUT: "1 second" })
  const who = () => ask(`${url}/api/test/who`)

  await t.test("a request is answered 503, and its signal aborts", async () => {
    assert.equal(await statusOf(`${url}/api/test/never`), 503)
    await server.says(/aborted/)
    const request = "GET /api/test/never of a visitor"
    await server.says(new RegExp(`HARAKIRI in web \\d \\(pid \\d+\\): ${request} took too long and was stopped after`))
  })

  await t.test("a process that stands still is replaced, and the line is named", async () => {
    await processes(who, 2)
    const blocked = ask(`${url}/api/test/block`)
    await assert.rejects(blocked, /socket hang up|ECONNRESET/)
    await server.says(/HARAKIRI: web \d \(pid \d+\) stood still for [\d.]+ s and was killed/)
    await server.says(/app\/app\.ts:12:\d+/)
    await server.says(/GET \/api\/test\/block of a visitor since \d+ ms/)
    await server.says(/Another one takes its place/)
  })

  await t.test("one that was stopped, in which nothing can notice it, is replaced too", async () => {
    const [next] = await processes(who, 2)
    process.kill(next!, "SIGSTOP")
    await server.says(/says nothing any more and is killed/)
    await server.says(/Another one takes its place/)
    await processes(who, 2)
  })
})

test("a process that has answered its number of requests is replaced, and one that began above a limit is not", async (t) => {
  const { project, server, url } = await startServer(t, { WORKERS_SOFT_MEMORY: "20 MB", WORKERS_MAX_REQUESTS: "100" })
  await server.says(/web 2 uses \d+ MB before it has done anything, more than workers.soft_memory/)
  const who = () => ask(`${url}/api/test/who`)
  const pids = new Set<number>()
  // None of them fails. It takes some seconds, in which the memory could have been a reason.
  await until(async () => {
    for (const { pid } of await Promise.all(Array.from({ length: 10 }, who))) pids.add(pid)
    return pids.size >= 6
  })
  await server.says(/is replaced: it has answered \d+ requests/)
  const { processes } = await statusOfServer(project)
  for (const { lastEnd } of processes) assert.doesNotMatch(lastEnd ?? "", /soft_memory/)
})
