// @together
/** Connections of our pool: moments as text, named statements that heal, and what breaks without ending the process. */
import assert from "node:assert/strict"
import { once } from "node:events"
import { readFile } from "node:fs/promises"
import { connect } from "node:net"
import { type TestContext, test } from "node:test"
import pg from "pg"
import { type Db, sql, Type } from "trestle"
import { testApp } from "trestle/testing"
import { Log } from "../src/core/log.ts"
import { statementOf, toIso } from "../src/db/connection.ts"
import { type DatabaseSettings, isUnreachable, openDatabase } from "../src/db/database.ts"
import { createTestDatabase } from "../src/db/test-database.ts"
import { until } from "./embedded/scratch.ts"
import { sampleApp } from "./sample/app.ts"

const settings: DatabaseSettings = {
  poolSize: 1,
  connectTimeoutMs: 60_000,
  statementTimeoutMs: 0,
  idleInTransactionTimeoutMs: 0,
  preparedStatements: true,
  logSql: false,
}

/** An empty database, with as many connections as the test says and what was logged. */
async function open(t: TestContext, change: Partial<DatabaseSettings> = {}) {
  const made = await createTestDatabase([])
  const log: string[] = []
  const database = openDatabase(
    made.address,
    { ...settings, ...change },
    new Log("info", "server", (line) => void log.push(line)),
  )
  t.after(async () => {
    await database.close()
    await made.drop()
  })
  return { ...database, log }
}

const valuesOf = async <T>(db: Db, query: string): Promise<T[]> =>
  (await sql.raw<Record<string, T>>(query).execute(db)).rows.flatMap((row) => Object.values(row))

test("a timestamptz is an ISO string with six digits, whatever its fraction is", async (t) => {
  const { db } = await open(t)
  for (const [written, read] of [
    ["2026-11-20 09:30:00+00", "2026-11-20T09:30:00.000000Z"],
    ["2026-11-20 09:30:00.1+00", "2026-11-20T09:30:00.100000Z"],
    ["2026-11-20 09:30:00.123456+00", "2026-11-20T09:30:00.123456Z"],
    ["2026-11-20 09:30:00.123456-05", "2026-11-20T14:30:00.123456Z"],
    ["0001-01-01 00:00:00+00", "0001-01-01T00:00:00.000000Z"],
    ["infinity", "infinity"],
    ["-infinity", "-infinity"],
    ["0044-03-15 12:00:00+00 BC", "0044-03-15 12:00:00+00 BC"],
    ["12026-11-20 09:30:00.5+00", "12026-11-20T09:30:00.500000Z"],
  ]) {
    const [value] = await valuesOf<string>(db, `select timestamptz '${written}'`)
    assert.equal(value, read)
    const [isSame] = await valuesOf<boolean>(db, `select timestamptz '${value}' = timestamptz '${written}'`)
    assert.equal(isSame, true, `${value} reads back`)
  }
})

test("a session in another time zone or date style gives the same moments, to the microsecond", async (t) => {
  const { db } = await open(t)
  for (const zone of ["Asia/Kolkata", "America/St_Johns", "Europe/Berlin", "Pacific/Auckland", "UTC"]) {
    await sql.raw(`set time zone '${zone}'`).execute(db)
    for (const moment of [
      "2026-11-20T23:59:59.123456Z",
      "2026-07-01T00:00:00.000000Z",
      "1890-01-01T00:00:00.100000Z",
    ]) {
      assert.deepEqual(await valuesOf(db, `select timestamptz '${moment}'`), [moment], zone)
    }
  }
  assert.equal(toIso("2026-11-20 15:00:00.1+05:30"), "2026-11-20T09:30:00.100000Z")
  assert.equal(toIso("1890-01-01 00:53:28+00:53:28"), "1890-01-01T00:00:00.000000Z")
  assert.equal(toIso("12026-11-20 09:30:00+05:30"), "12026-11-20 09:30:00+05:30")
})

test("a database with another date style is read as any other", async (t) => {
  const { db, pool } = await open(t)
  const [name] = await valuesOf<string>(db, "select current_database()")
  await sql.raw(`alter database ${name} set datestyle = 'German'`).execute(db)
  await sql.raw(`alter database ${name} set timezone = 'Asia/Kolkata'`).execute(db)
  const client = await pool.connect()
  client.release(true)
  assert.deepEqual(await valuesOf(db, "select timestamptz '2026-11-20 09:30:00+00'"), ["2026-11-20T09:30:00.000000Z"])
  assert.deepEqual(await valuesOf(db, "select current_setting('TimeZone')"), ["UTC"])
})

test("date and timestamp stay text, and pg's own parsers stay as they are", async (t) => {
  const parsers = [1082, 1114, 1184].map((oid) => pg.types.getTypeParser(oid))
  const { db } = await open(t)
  const values = await valuesOf(
    db,
    "select date '2026-11-20', timestamp '2026-11-20 09:30', 7 as seven, true, '{a,b}'::text[]",
  )
  assert.deepEqual(values, ["2026-11-20", "2026-11-20 09:30:00", 7, true, ["a", "b"]])
  assert.deepEqual(
    [1082, 1114, 1184].map((oid) => pg.types.getTypeParser(oid)),
    parsers,
  )
})

test("a moment that was read finds its row again, and a Date may be written", async (t) => {
  const { db } = await testApp(
    t,
    sampleApp(() => {}),
  )
  const owner = "00000000-0000-8000-8000-000000000001"
  const created = new Date("2026-11-20T09:30:00.123Z")
  await db.insertInto("sample_items").values({ name: "dated", owner, created }).execute()
  await db.insertInto("sample_items").values({ name: "now", owner }).execute()
  for (const name of ["dated", "now"]) {
    const row = await db.selectFrom("sample_items").selectAll().where("name", "=", name).executeTakeFirstOrThrow()
    const again = db.selectFrom("sample_items").select("id").where("created", "=", row.created)
    assert.equal((await again.executeTakeFirstOrThrow()).id, row.id)
    if (name === "dated") assert.equal(row.created, "2026-11-20T09:30:00.123000Z")
  }
})

/** The statements that PostgreSQL knows by name on the only connection. */
const prepared = (db: Db) => valuesOf<string>(db, "select statement from pg_prepared_statements /* asks */")

test("a statement gets its name at the second use", async (t) => {
  const { db } = await open(t)
  const ask = () => sql`select ${1}::int as one`.execute(db)
  await ask()
  assert.deepEqual(await prepared(db), [])
  for (let i = 0; i < 3; i++) await ask()
  assert.deepEqual(
    (await prepared(db)).filter((text) => !text.includes("asks")),
    ["select $1::int as one"],
  )
})

test("neither commands that cannot be prepared nor several in one text get a name", async (t) => {
  const { db } = await open(t)
  for (let i = 0; i < 3; i++) {
    await sql.raw("select 1; select 2").execute(db)
    await sql.raw("set application_name = 'x'").execute(db)
    await sql`select ${1}::int, ${"x".repeat(5)}::text, ${sql.lit("y".repeat(10_000))}`.execute(db)
  }
  assert.deepEqual(
    (await prepared(db)).filter((text) => !text.includes("asks")),
    [],
  )
})

test("no more than 500 statements are named, and texts that come once do not keep others from it", async (t) => {
  const { db } = await open(t)
  for (let i = 0; i < 2_500; i++) await sql.raw(`select ${i} as once`).execute(db)
  for (let i = 0; i < 600; i++) {
    for (let use = 0; use < 2; use++) await sql.raw(`select ${i} as twice`).execute(db)
  }
  const names = await prepared(db)
  assert.equal(names.length, 500)
  assert.ok(names.every((text) => text.endsWith("twice")))
})

test("without prepared statements nothing is named", async (t) => {
  const { db } = await open(t, { preparedStatements: false })
  for (let i = 0; i < 3; i++) await sql`select ${1}::int`.execute(db)
  assert.deepEqual(await prepared(db), [])
})

test("a migration that changes what a statement returns is not noticed outside a transaction", async (t) => {
  const { db } = await open(t, { poolSize: 3 })
  await sql`create table things (a int)`.execute(db)
  const ask = () => sql.raw<{ a: number }>("select * from things").execute(db)
  const onAll = () => Promise.all(Array.from({ length: 9 }, ask))
  await sql`insert into things values (1)`.execute(db)
  await onAll()
  await onAll()
  await sql`alter table things add column b int default 2`.execute(db)
  for (const { rows } of [...(await onAll()), ...(await onAll())]) assert.deepEqual(rows, [{ a: 1, b: 2 }])
  await sql`alter table things drop column a`.execute(db)
  assert.deepEqual((await ask()).rows, [{ b: 2 }])
})

test("inside a transaction it fails once, and works from the next on", async (t) => {
  const { db } = await open(t)
  await sql`create table things (a int)`.execute(db)
  const ask = (on: Db) => sql.raw("select * from things").execute(on)
  for (let i = 0; i < 3; i++) await ask(db)
  await sql`alter table things add column b int`.execute(db)
  const inTransaction = () => db.transaction().execute((tx) => ask(tx))
  await assert.rejects(inTransaction(), /cached plan must not change result type/)
  assert.equal((await inTransaction()).rows.length, 0)
})

test("a server that forgot a statement is told it again", async (t) => {
  const { db } = await open(t)
  const ask = (on: Db) => sql`select ${7}::int as seven`.execute(on)
  for (let i = 0; i < 3; i++) await ask(db)
  await sql`deallocate all`.execute(db)
  assert.deepEqual((await ask(db)).rows, [{ seven: 7 }])
  await sql`deallocate all`.execute(db)
  await assert.rejects(
    db.transaction().execute((tx) => ask(tx)),
    { code: "26000" },
  )
  assert.deepEqual((await db.transaction().execute((tx) => ask(tx))).rows, [{ seven: 7 }])
})

test("an error knows its statement, and shows it to nobody who prints its fields", async (t) => {
  const { db } = await open(t)
  for (let i = 0; i < 3; i++) {
    const error = await sql`select nothing from nowhere where x = ${"secret"}`.execute(db).catch((error) => error)
    assert.equal(statementOf(error), "select nothing from nowhere where x = $1")
    assert.ok(!Object.keys(error).includes("statement"))
  }
  assert.equal(statementOf(new Error("another")), undefined)
  assert.equal(statementOf("text"), undefined)
})

test("LOG_SQL=1 prints each statement with its time and without its values", async (t) => {
  const { db, log } = await open(t, { logSql: true })
  await sql`
    select ${"secret"}::text,
      ${1n}::int`.execute(db)
  await sql`select broken`.execute(db).catch(() => {})
  assert.match(log[0]!, /\(INFO\) sql: \d+\.\d ms select \$1::text, \$2::int\n$/)
  assert.match(log[1]!, /ms select broken\n$/)
})

test("LOG_SQL=values prints the values too, of every type", async (t) => {
  const { db, log } = await open(t, { logSql: "values" })
  await sql`select ${"shown"}::text, ${12n}::int, ${null}::text, ${Buffer.from("ab")}::bytea`.execute(db)
  assert.match(log[0]!, /ms select \$1::text.* \[ 'shown', 12n, null, <Buffer 61 62> \]\n$/)
})

test("terminating all connections costs no later query and does not end the process", async (t) => {
  const { db, pool, log } = await open(t, { poolSize: 4 })
  const other = await open(t)
  const [name] = await valuesOf<string>(db, "select current_database()")
  const terminateAll = () =>
    valuesOf(other.db, `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}'`)

  // Idle ones.
  await Promise.all(Array.from({ length: 4 }, () => sql`select pg_sleep(0.01)`.execute(db)))
  await terminateAll()
  await until(() => pool.totalCount === 0)
  assert.deepEqual(await valuesOf(db, "select 1"), [1])
  assert.ok(log.some((line) => /A connection was lost: .*The next query makes a new one/.test(line)))

  // One in a query, and one between two statements of a transaction.
  const isThere = Promise.withResolvers<void>()
  const isGone = Promise.withResolvers<void>()
  const between = db.transaction().execute(async (tx) => {
    await sql`select 1`.execute(tx)
    isThere.resolve()
    await isGone.promise
    await sql`select 2`.execute(tx)
  })
  await isThere.promise
  const failures = [between, sql`select pg_sleep(60)`.execute(db)].map((query) =>
    query.catch((error: unknown) => error),
  )
  await until(async () => {
    const asleep = await valuesOf(
      other.db,
      `select pid from pg_stat_activity where datname = '${name}' and wait_event = 'PgSleep'`,
    )
    return asleep.length > 0
  })
  await terminateAll()
  assert.ok(isUnreachable(await failures[1]))
  isGone.resolve()
  assert.ok(isUnreachable(await failures[0]), String(await failures[0]))
  await until(() => pool.totalCount === 0)
  assert.deepEqual(await valuesOf(db, "select 1"), [1])
})

test("of errors that others have too only those of a connection to the database mean that it is away", async (t) => {
  const failureOf = (work: Promise<unknown>) =>
    work.then(
      () => assert.fail(),
      (error: Error) => error,
    )
  const addresses = [
    { host: "/nonexistent", port: 5432, user: "nobody", database: "none" },
    { url: "postgres://nobody@127.0.0.1:1/none" },
    { url: "postgres://nobody@localhost:1/none" },
    { url: "postgres://nobody@nowhere.invalid/none" },
  ]
  for (const address of addresses) {
    const { db, close } = openDatabase(address, settings, new Log("error"))
    t.after(close)
    assert.ok(isUnreachable(await failureOf(sql`select 1`.execute(db))), JSON.stringify(address))
  }
  // A file that is not there, and somebody else's server.
  assert.equal(isUnreachable(await failureOf(readFile("/nonexistent"))), false)
  for (const place of [{ path: "/nonexistent" }, { port: 1, host: "127.0.0.1" }]) {
    assert.equal(isUnreachable(await failureOf(once(connect(place), "connect"))), false)
  }
})

test("a handler whose connection is lost in a transaction answers 503", async (t) => {
  const { visitor, db } = await testApp(
    t,
    sampleApp((api) => {
      api.get("/", { role: "visitor", schema: { response: { 200: Type.Object({}) } } }, async () => {
        await api.db.transaction().execute(async (tx) => {
          const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(tx)
          await sql`select pg_terminate_backend(${rows[0]!.pid}, 10000)`.execute(api.db)
          await sql`select 1`.execute(tx)
        })
        return {}
      })
    }),
  )
  assert.equal((await visitor.get("/api/sample")).status, 503)
  assert.deepEqual(await valuesOf(db, "select 1"), [1])
})

test("closing ends the pool also where Kysely never used it", async (t) => {
  const { pool, close } = await open(t)
  await pool.query("select 1")
  await close()
  assert.deepEqual([pool.ended, pool.totalCount], [true, 0])
})

test("closing waits for the queries that run", async (t) => {
  const { db, close } = await open(t)
  const isRunning = Promise.withResolvers<void>()
  const query = db.connection().execute(async (connection) => {
    isRunning.resolve()
    return sql<{ one: number }>`select 1 as one from pg_sleep(0.1)`.execute(connection)
  })
  await isRunning.promise
  const closed = close()
  assert.deepEqual((await query).rows, [{ one: 1 }])
  await closed
})
