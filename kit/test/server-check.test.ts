// @together
/** What the boot asks of a server: room for all pools. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { type TestContext, test } from "node:test"
import { sql } from "trestle"
import { BootError } from "../src/core/errors.ts"
import { Log } from "../src/core/log.ts"
import { type DatabaseAddress, openDatabase, readUrl } from "../src/db/database.ts"
import { checkServer } from "../src/db/server-check.ts"
import { createTestDatabase } from "../src/db/test-database.ts"

const log = new Log("error")

function open(address: DatabaseAddress) {
  const settings = { poolSize: 1, connectTimeoutMs: 60_000, statementTimeoutMs: 0, idleInTransactionTimeoutMs: 0 }
  const database = openDatabase(address, { ...settings, preparedStatements: false, logSql: false }, log)
  return { ...database, check: (processes: number, size: number) => checkServer(database.pool, processes, size, log) }
}

/** A database, and a user of its own that may have so many connections. */
async function limited(t: TestContext, limit: number) {
  const made = await createTestDatabase([])
  const owner = open(made.address)
  const role = `trestle_test_${randomBytes(5).toString("hex")}`
  const password = randomBytes(9).toString("hex")
  await sql.raw(`create role ${role} login password '${password}' connection limit ${limit}`).execute(owner.db)
  const user = open(as(made.address, role, password))
  t.after(async () => {
    await user.close()
    await sql.raw(`drop role ${role}`).execute(owner.db)
    await owner.close()
    await made.drop()
  })
  return { owner, user }
}

function as(address: DatabaseAddress, user: string, password: string): DatabaseAddress {
  if (!("url" in address)) return { ...address, user }
  const url = readUrl(address.url)
  url.username = user
  url.password = password
  return { url: url.href }
}

const refuses = (check: Promise<void>, message: RegExp) =>
  assert.rejects(check, (error) => error instanceof BootError && message.test(error.message))

test("pools that the server has no room for stop the boot with what fits", async (t) => {
  const { owner, user } = await limited(t, -1)
  const { rows } = await sql<{ max: number; reserved: number }>`
    select current_setting('max_connections')::int as max,
      current_setting('superuser_reserved_connections')::int
        + coalesce(current_setting('reserved_connections', true)::int, 0) as reserved`.execute(owner.db)
  const { max, reserved } = rows[0]!
  const admitted = max - reserved
  await user.check(1, admitted - 4)
  await refuses(
    user.check(1, admitted - 3),
    new RegExp(
      `^The database admits ${admitted} connections \\(max_connections less the reserved ones\\), but 1 × database.pool_size ` +
        `\\(${admitted - 3} \\+ 2 besides\\) \\+ 2 spare = ${admitted + 1} are wanted\\. Set DATABASE_POOL_SIZE to ${admitted - 4} or less, or raise`,
    ),
  )
  await refuses(
    user.check(2, admitted - 2),
    new RegExp(`Set DATABASE_POOL_SIZE to ${Math.floor((admitted - 2) / 2) - 2} or less`),
  )
  await refuses(user.check(admitted, 1), /Start fewer processes, or raise the server's limit\./)
  await owner.check(1, 10)
})

test("the limit of the role and that of the database count too", async (t) => {
  const { owner, user } = await limited(t, 7)
  await user.check(1, 3)
  await refuses(
    user.check(1, 4),
    /admits 7 connections \(the role's connection limit\).*Set DATABASE_POOL_SIZE to 3 or less/,
  )
  const { rows } = await sql<{ name: string; superuser: boolean }>`
    select current_database() as name, rolsuper as superuser from pg_roles where rolname = session_user`.execute(
    owner.db,
  )
  const { name, superuser } = rows[0]!
  await sql.raw(`alter database ${name} connection limit 5`).execute(owner.db)
  await user.check(1, 1)
  await refuses(user.check(1, 2), /admits 5 connections \(the database's connection limit\)/)
  if (superuser) await owner.check(1, 10)
})
