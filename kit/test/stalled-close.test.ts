/** A database that is stopped does not keep the process which closes it. */
import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { test } from "node:test"
import { promisify } from "node:util"
import { createTestDatabase } from "../src/db/test-database.ts"
import { openWire } from "./wire.ts"

/** A process of its own, to see it end. */
const closesDatabase = `
  import { openDatabase } from ${JSON.stringify(join(import.meta.dirname, "../src/db/database.ts"))}
  import { Log } from ${JSON.stringify(join(import.meta.dirname, "../src/core/log.ts"))}
  const settings = { poolSize: 3, connectTimeoutMs: 600_000, statementTimeoutMs: 0, idleInTransactionTimeoutMs: 0 }
  const address = JSON.parse(process.argv[1])
  const { pool, close } = openDatabase(address, { ...settings, preparedStatements: false, logSql: false }, new Log("error"))
  await Promise.all([1, 2, 3].map(() => pool.query("select pg_sleep(0.1)")))
  process.stdout.write("ready")
  process.stdin.once("data", async (said) => {
    process.stdin.destroy()
    const asked = String(said) === "ask" ? [1, 2, 3, 4].map(() => pool.query("select 1").catch(({ name }) => name)) : []
    const closed = close()
    process.stdout.write(" " + (await Promise.all(asked)).join())
    await closed
  })`

for (const [what, said, expected] of [
  ["and nobody asks", "end", "ready "],
  ["and somebody asks", "ask", "ready DatabaseUnreachable,DatabaseUnreachable,DatabaseUnreachable,DatabaseUnreachable"],
] as const) {
  test(`a process ends when it closes a database that is stopped ${what}`, async (t) => {
    const made = await createTestDatabase([])
    t.after(() => made.drop())
    const wire = await openWire(t, made.address)
    const args = ["--input-type=module", "-e", closesDatabase, JSON.stringify(wire.address)]
    const running = promisify(execFile)(process.execPath, args)
    await once(running.child.stdout!, "data")
    wire.stop()
    running.child.stdin!.write(said)
    assert.equal((await running).stdout, expected)
  })
}
