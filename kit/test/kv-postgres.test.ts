// @together
/** The key-value store in PostgreSQL: what the database is left with. */
import assert from "node:assert/strict"
import { type TestContext, test } from "node:test"
import { databaseSettings } from "../src/cli/database.ts"
import { loadConfig } from "../src/core/config/index.ts"
import { Log } from "../src/core/log.ts"
import { openDatabase } from "../src/db/database.ts"
import { ledgersOf, migrateDown, migrateUp } from "../src/db/migrations.ts"
import { createTestDatabase } from "../src/db/test-database.ts"
import { openStore } from "../src/store/store.ts"

async function open(t: TestContext) {
  const place = await createTestDatabase(await ledgersOf("/nonexistent"))
  const config = loadConfig({ folder: "/nonexistent", env: {} })
  const log: string[] = []
  const logger = new Log("warn", "server", (line) => void log.push(line))
  const database = openDatabase(place.address, databaseSettings(config), logger)
  const kv = openStore({ database, log: logger })
  t.after(async () => {
    kv.close()
    await database.close()
    await place.drop()
  })
  const count = async (text: string): Promise<number> => (await database.pool.query(text)).rows[0].count
  return { kv, database, count, log }
}

const rows =
  "select count(*)::int from (select key from trestle.key_values union all select key from trestle.list_items) all_rows"

test("expired keys are removed every minute, lists with their items, and no others", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] })
  const { kv, database, count } = await open(t)
  await kv.set("stays", 1)
  await kv.set("stays for now", 1, { expires: "1 hour" })
  await database.pool.query(`
    insert into trestle.key_values (key, value, expires) select i::text, '1', now() - interval '1 s' from generate_series(1, 2500) i`)
  await kv.append("list", 1)
  await kv.append("list", 2, { expires: "1 ms" })
  t.mock.timers.tick(60_000)
  while ((await count(rows)) > 2) await new Promise(setImmediate)
  assert.equal(await kv.get("stays for now"), 1)
})

test("a sweep that fails is logged, and the next one comes", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] })
  const { kv, database, count, log } = await open(t)
  await kv.set("key", 1, { expires: "1 ms" })
  await database.pool.query("alter table trestle.key_values rename to elsewhere")
  t.mock.timers.tick(60_000)
  while (log.length === 0) await new Promise(setImmediate)
  assert.match(log[0]!, /store: Expired keys were not removed: relation "trestle\.key_values" does not exist/)
  await database.pool.query("alter table trestle.elsewhere rename to key_values")
  t.mock.timers.tick(60_000)
  while ((await count(rows)) > 0) await new Promise(setImmediate)
})

test("a list without items leaves no rows", async (t) => {
  const { kv, count } = await open(t)
  for (let i = 0; i < 5; i++) await kv.append("list", i, { max: 3 })
  assert.equal(await count(rows), 4)
  for (let i = 0; i < 3; i++) await kv.pop("list")
  assert.equal(await count(rows), 0)
  for (let i = 0; i < 5; i++) await kv.append("list", i)
  await kv.delete("list")
  assert.equal(await count(rows), 0)
})

test("the connection that tells of items is there only while somebody waits", async (t) => {
  const { kv, database, count } = await open(t)
  const listeners = `select count(*)::int from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and query like 'listen %'`
  await kv.append("list", 1)
  assert.equal(await count(listeners), 0)
  await kv.pop("list")
  const waiting = [1, 2, 3].map(() => kv.pop("list", { wait: "1 minute" }))
  while ((await count(listeners)) === 0) await new Promise(setImmediate)
  for (const i of [1, 2, 3]) await kv.append("list", i)
  assert.deepEqual((await Promise.all(waiting)).toSorted(), [1, 2, 3])
  assert.equal(await count(listeners), 1)
  kv.close()
  while ((await count(listeners)) > 0) await new Promise(setImmediate)
  await database.close()
})

test("the migration can be taken back", async (t) => {
  const { kv, database, count } = await open(t)
  const [ledger] = (await ledgersOf("/nonexistent")) as [Awaited<ReturnType<typeof ledgersOf>>[0]]
  while ((await migrateDown(database.db, ledger)) !== "002-key-values");
  assert.equal(await count("select count(*)::int from pg_proc where pronamespace = 'trestle'::regnamespace"), 0)
  await migrateUp(database.db, [ledger])
  assert.equal(await kv.increment("key"), 1)
})
