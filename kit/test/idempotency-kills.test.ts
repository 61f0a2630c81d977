/** A server process that is killed takes no idempotent request with it: asked again, it was done once. */
import assert from "node:assert/strict"
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { test } from "node:test"
import { sql } from "trestle"
import { createApiKey } from "../src/auth/api-keys.ts"
import { ledgersOf } from "../src/db/migrations.ts"
import { createTestDatabase } from "../src/db/test-database.ts"
import { openEyes } from "./outages.ts"

test("a process that is killed around its commit has done it once, or another one does", async (t) => {
  const { address, drop } = await createTestDatabase(await ledgersOf("/nonexistent"))
  const { db, close } = openEyes(address)
  let server: ChildProcess | undefined
  t.after(async () => {
    if (server?.kill("SIGKILL")) await once(server, "exit")
    await close()
    await drop()
  })
  await sql`create table kept (n int)`.execute(db)
  await sql`create table begun (n int primary key)`.execute(db)
  const { token } = await createApiKey(db, { role: "editor", name: "robot" })

  const start = async () => {
    server = fork(join(import.meta.dirname, "idempotency-child.ts"), [JSON.stringify(address)])
    const [url] = await once(server, "message")
    const ask = async (n: number, dies: string): Promise<Response> => {
      const headers = { "x-api-key": token, "content-type": "application/json", "idempotency-key": `key-${n}` }
      const body = JSON.stringify({ n, dies })
      const answer = await fetch(`${url}/api/sample`, { method: "POST", headers, body })
      // PostgreSQL may need a moment to notice that a process is gone.
      return answer.status === 409 ? ask(n, dies) : answer
    }
    return { ask, killed: once(server, "exit") }
  }

  const requests = Array.from({ length: 10 }, (_, n) => ({ n, dies: n % 2 ? "after the commit" : "before the commit" }))
  let { ask, killed } = await start()
  for (const { n, dies } of requests) {
    await assert.rejects(ask(n, dies), "its process is gone")
    const [code, signal] = await killed
    assert.deepEqual([code, signal], [null, "SIGKILL"])
    const { pid } = server!
    ;({ ask, killed } = await start())
    const answer = await ask(n, dies)
    assert.equal(answer.status, 201)
    const isDone = dies === "after the commit"
    assert.equal(answer.headers.get("idempotency-replayed"), isDone ? "true" : null)
    assert.deepEqual(await answer.json(), { n, pid: isDone ? pid : server!.pid })
  }
  const { rows } = await sql<{ n: number }>`select n from kept order by n`.execute(db)
  assert.deepEqual(
    rows,
    requests.map(({ n }) => ({ n })),
  )
})
