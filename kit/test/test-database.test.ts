/** Databases for tests: made once, copied fast, and nothing left behind or touched besides. */
import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { existsSync, statfsSync } from "node:fs"
import { cp, mkdir, mkdtemp, rm, symlink, utimes, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { promisify } from "node:util"
import pg from "pg"
import { connectionOptions } from "../src/db/database.ts"
import { openTestServer, testServerVariable } from "../src/db/test-database.ts"
import { urlOf } from "./project.ts"

const root = join(import.meta.dirname, "../..")
const run = promisify(execFile)

/** A server of this test alone, where it may look at all databases; DATABASE_URL's own would have other tests' too. */
async function openServer(t: TestContext) {
  const { DATABASE_URL } = process.env
  delete process.env.DATABASE_URL
  const { address, stop } = await openTestServer()
  if (DATABASE_URL) process.env.DATABASE_URL = DATABASE_URL
  const admin = new pg.Client(connectionOptions(address))
  await admin.connect()
  t.after(async () => {
    await admin.end()
    await stop()
  })
  const names = async () =>
    (await admin.query<{ name: string }>("select datname as name from pg_database order by 1")).rows.map(
      ({ name }) => name,
    )
  return { address, admin, names }
}

/** A project with a test that says where its database is. */
async function project(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "trestle-project-"))
  t.after(() => rm(folder, { recursive: true }))
  await cp(join(import.meta.dirname, "sample"), join(folder, "app"), { recursive: true })
  await writeFile(join(folder, "package.json"), '{ "type": "module" }')
  await mkdir(join(folder, "node_modules"))
  await symlink(join(root, "kit"), join(folder, "node_modules", "trestle"))
  await mkdir(join(folder, "test"))
  await writeFile(join(folder, "test", "a.test.ts"), sample)
  return folder
}

const sample = `
import { test } from "node:test"
import { sql } from "trestle"
import { testApp } from "trestle/testing"
import { sampleApp } from "../app/app.ts"

for (const name of ["one", "two", "three"]) {
  test(name, async (t) => {
    const { db } = await testApp(t, sampleApp(() => {}))
    await db.selectFrom("sample_items").selectAll().execute()
    const { rows } = await sql\`select current_setting('data_directory') as folder, current_database() as name\`.execute(db)
    console.log(\`found \${JSON.stringify(rows[0])}\`)
  })
}
`

/** Runs Node in the project, as a shell would: what the tests of this repository set does not count. */
async function node(folder: string, args: string[], env: Record<string, string> = {}) {
  const { DATABASE_URL: _, [testServerVariable]: __, NODE_TEST_CONTEXT: ___, ...inherited } = process.env
  const { stdout } = await run(process.execPath, args, { cwd: folder, env: { ...inherited, ...env } })
  const found = [...stdout.matchAll(/found (\{.*\})/g)].map(
    ([, json]) => JSON.parse(json!) as { folder: string; name: string },
  )
  return { stdout, found }
}

test("processes that need the same template at once make it once", async (t) => {
  const { address, names } = await openServer(t)
  const folder = await project(t)
  const env = { [testServerVariable]: JSON.stringify(address) }
  const all = await Promise.all([1, 2, 3, 4].map(() => node(folder, ["--test", "test/a.test.ts"], env)))
  const found = all.flatMap((one) => one.found.map(({ name }) => name))
  assert.equal(new Set(found).size, 12, "each test has a database of its own")
  const left = (await names()).filter((name) => name.startsWith("trestle_test"))
  assert.equal(left.length, 1)
  assert.match(left[0]!, /^trestle_test_[0-9a-z]{8}_template_[0-9a-f]{20}$/)
})

test("a test file that is run by Node alone shares one server, which ends with it", async (t) => {
  const folder = await project(t)
  const { found } = await node(folder, ["--test", "test/a.test.ts"])
  assert.equal(found.length, 3)
  assert.equal(new Set(found.map((one) => one.folder)).size, 1)
  assert.ok(!existsSync(found[0]!.folder))
  const { bavail, bsize } = statfsSync("/dev/shm")
  if (bavail * bsize > 1024 ** 3) assert.match(found[0]!.folder, /^\/dev\/shm\//, "in memory, as root too")
})

test("on DATABASE_URL, trestle test touches no database but its own", async (t) => {
  const { address, admin, names } = await openServer(t)
  const folder = await project(t)
  await admin.query("create database movies")
  const before = await names()
  const { found } = await node(folder, [join(root, "kit/src/cli/main.ts"), "test"], { DATABASE_URL: urlOf(address) })
  assert.ok(found.every(({ name }) => /^trestle_test_[0-9a-z]{8}_[0-9a-f]{10}$/.test(name)))
  assert.deepEqual(
    (await names()).filter((name) => !/^trestle_test_[0-9a-z]{8}_template_[0-9a-f]{20}$/.test(name)),
    before,
  )
  const { rows } = await admin.query(
    "select to_regclass('sample_items') is null and to_regnamespace('trestle') is null as clean",
  )
  assert.deepEqual(rows, [{ clean: true }])
})

test("what killed runs left is dropped after two days, and nothing that only looks like it", async (t) => {
  const { address, admin, names } = await openServer(t)
  const at = (daysAgo: number) => (Date.now() - daysAgo * 24 * 3600_000).toString(36)
  const old = [
    `trestle_test_${at(3)}_0123456789`,
    ...["template", "draft"].map((kind) => `trestle_test_${at(3)}_${kind}_${"0".repeat(20)}`),
  ]
  const kept = [
    `trestle_test_${at(1)}_0123456789`,
    `trestle_test_${at(1)}_template_${"0".repeat(20)}`,
    `trestle_test_${at(3)}_customers`,
    "trestle_test_data",
    "trestle_tests",
  ]
  for (const name of [...old, ...kept]) await admin.query(`create database ${name}`)
  const before = await names()
  const folder = await project(t)
  await node(folder, [join(root, "kit/src/cli/main.ts"), "test"], { DATABASE_URL: urlOf(address) })
  const isNew = (name: string) => !before.includes(name)
  assert.deepEqual(
    (await names()).filter((name) => !isNew(name)),
    before.filter((name) => !old.includes(name)),
  )
})

test("the folder of a killed run is removed after two days", async (t) => {
  const { bavail, bsize } = statfsSync("/dev/shm")
  const base = bavail * bsize > 1024 ** 3 ? "/dev/shm" : tmpdir()
  const [old, young] = await Promise.all([1, 2].map(() => mkdtemp(join(base, "trestle-test-server-"))))
  t.after(() => rm(young!, { recursive: true }))
  const threeDaysAgo = new Date(Date.now() - 3 * 24 * 3600_000)
  await utimes(old!, threeDaysAgo, threeDaysAgo)
  await openServer(t)
  assert.deepEqual([existsSync(old!), existsSync(young!)], [false, true])
})
