/** Migrations: two ledgers, all or nothing, each once; and the commands for them. */
import assert from "node:assert/strict"
import { type ExecFileException, execFile } from "node:child_process"
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { type TestContext, test } from "node:test"
import { type Db, sql } from "trestle"
import { BootError } from "../src/core/errors.ts"
import { Log } from "../src/core/log.ts"
import { type DatabaseAddress, openDatabase } from "../src/db/database.ts"
import { kitMigrations } from "../src/db/kit-migrations/index.ts"
import { type Ledger, ledgersOf, migrateDown, migrateUp, migrationStates } from "../src/db/migrations.ts"
import { createTestDatabase } from "../src/db/test-database.ts"
import { urlOf } from "./project.ts"
import { removeProject } from "./remove-project.ts"

const root = join(import.meta.dirname, "../..")
const kitNames = Object.keys(kitMigrations)

/** An empty database. */
async function open(t: TestContext): Promise<{ db: Db; address: DatabaseAddress }> {
  const made = await createTestDatabase([])
  const settings = { poolSize: 1, connectTimeoutMs: 60_000, statementTimeoutMs: 0, idleInTransactionTimeoutMs: 0 }
  const { db, close } = openDatabase(
    made.address,
    { ...settings, preparedStatements: false, logSql: false },
    new Log("error"),
  )
  t.after(async () => {
    await close()
    await made.drop()
  })
  return { db, address: made.address }
}

/** A folder of an application with these migrations; a value is the SQL of `up`, or the whole file. */
async function appWith(t: TestContext, migrations: Record<string, string>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "trestle-migrations-"))
  t.after(() => rm(folder, { recursive: true }))
  await mkdir(join(folder, "migrations"))
  await add(folder, migrations)
  return folder
}

async function add(folder: string, migrations: Record<string, string>): Promise<void> {
  await writeFile(join(folder, "package.json"), '{ "type": "module" }')
  for (const [name, text] of Object.entries(migrations)) {
    const file = text.includes("export") || text === "" ? text : moduleOf(text)
    await writeFile(join(folder, "migrations", name), file)
  }
}

/** Runs its SQL up, and drops the table of the same statement down. Imports nothing, so that it can lie anywhere. */
const moduleOf = (up: string) => `
const run = (db, text) => db.executeQuery({ sql: text, parameters: [], query: { kind: "RawNode" }, queryId: { queryId: "m" } })
export const up = (db) => run(db, ${JSON.stringify(up)})
export const down = (db) => run(db, ${JSON.stringify(up.replace(/^create (table \w+).*$/s, "drop $1"))})
`

const tables = async (db: Db): Promise<string[]> =>
  (
    await sql<{ name: string }>`
      select table_schema || '.' || table_name as name from information_schema.tables
      where table_schema in ('public', 'trestle') order by 1`.execute(db)
  ).rows.map(({ name }) => name)

const stateOf = async (db: Db, ledgers: Ledger[]) =>
  (await migrationStates(db, ledgers)).map(
    ({ ledger, name, applied, known }) =>
      `${ledger} ${name} ${applied ? "applied" : "pending"}${known ? "" : " unknown"}`,
  )

test("kit and application have a ledger each, and either can grow", async (t) => {
  const { db } = await open(t)
  const folder = await appWith(t, { "001_a.ts": "create table a (i int)" })
  const [kit, app] = (await ledgersOf(folder)) as [Ledger, Ledger]
  assert.deepEqual(await stateOf(db, [kit, app]), [
    ...kitNames.map((name) => `kit ${name} pending`),
    "app 001_a pending",
  ])
  assert.deepEqual(await tables(db), [], "asking creates nothing")

  assert.deepEqual(await migrateUp(db, [kit, app]), [...kitNames, "001_a"])
  const made = await tables(db)
  for (const table of ["public.a", "trestle.api_keys", "trestle.app_migrations", "trestle.kit_migrations"]) {
    assert.ok(made.includes(table), table)
  }
  assert.deepEqual(await migrateUp(db, [kit, app]), [])

  const grown: Ledger = {
    ...kit,
    names: [...kit.names, "999-grown"],
    load: async (name) =>
      name === "999-grown" ? { up: (db) => db.schema.createTable("grown").execute() } : kit.load(name),
  }
  await add(folder, { "002_b.ts": "create table b (i int)" })
  const [, grownApp] = (await ledgersOf(folder)) as [Ledger, Ledger]
  assert.deepEqual(await migrateUp(db, [grown, grownApp]), ["999-grown", "002_b"])
  const [state] = await migrationStates(db, [grownApp])
  assert.match(state!.applied!, /^\d{4}-\d\d-\d\dT.*\.\d{6}Z$/)
})

test("a migration that an older version of the code does not have is shown as unknown", async (t) => {
  const { db } = await open(t)
  const folder = await appWith(t, { "001_a.ts": "create table a (i int)", "002_b.ts": "create table b (i int)" })
  const ledgers = await ledgersOf(folder)
  await migrateUp(db, ledgers)
  await rm(join(folder, "migrations", "002_b.ts"))
  const older = await ledgersOf(folder)
  assert.deepEqual(await stateOf(db, older), [
    ...kitNames.map((name) => `kit ${name} applied`),
    "app 001_a applied",
    "app 002_b applied unknown",
  ])
  await assert.rejects(
    migrateDown(db, older[1]!),
    /applied last, 002_b, is not in this version of the code.* Restore its file from version control, or take it back/,
  )
})

test("a failing migration leaves the database exactly as it was, and names its file and statement", async (t) => {
  const { db } = await open(t)
  const folder = await appWith(t, { "001_a.ts": "create table a (i int)", "002_b.ts": "create tabel b (i int)" })
  const failure = await migrateUp(db, await ledgersOf(folder)).catch((error) => error)
  assert.ok(failure instanceof BootError)
  assert.equal(
    failure.message,
    `The migration ${folder}/migrations/002_b.ts failed, and the database is as it was: ` +
      'syntax error at or near "tabel"\nin: create tabel b (i int)',
  )
  assert.deepEqual(await tables(db), [])
  await add(folder, { "003_c.ts": "export const up = () => { throw new Error('no statement') }" })
  await rm(join(folder, "migrations", "002_b.ts"))
  await assert.rejects(
    migrateUp(db, await ledgersOf(folder)),
    /003_c\.ts failed, and the database is as it was: no statement$/,
  )
  assert.deepEqual(await tables(db), [])
})

test("files that are no migrations are named with what to do", async (t) => {
  const { db } = await open(t)
  const up = async (files: Record<string, string>) => migrateUp(db, await ledgersOf(await appWith(t, files)))
  const refused = (files: Record<string, string>, message: RegExp) =>
    assert.rejects(up(files), (error) => error instanceof BootError && message.test(error.message))
  await refused({ "001_a.ts": "export const up = {{{" }, /migrations\/001_a\.ts cannot be loaded: /)
  await refused({ "001_a.ts": 'import "./nowhere.ts"; export {}' }, /001_a\.ts cannot be loaded: .*nowhere/)
  await refused(
    { "001_a.ts": "export const down = 1" },
    /001_a\.ts exports no function "up"\. Write: export async function up/,
  )
  await refused({ "001_a.ts": "" }, /exports no function "up"/)
  await refused({ "actors.ts": "select 1" }, /actors\.ts: the name of a migration is a number, then a name, as in 002/)
  await refused({ "1_Actors.ts": "select 1" }, /1_Actors\.ts: the name of a migration/)
  await refused(
    { "001_a.ts": "select 1", "001_b.ts": "select 1" },
    /001_a\.ts and 001_b\.ts have the same number\. Give/,
  )
  await refused({ "001_a.ts": "select 1", "1_b.ts": "select 1" }, /have the same number/)
  assert.deepEqual(await tables(db), [])
  assert.deepEqual(await up({ "README.md": "x", "001_a.d.ts": "export {}", "001_a.js": "create table a (i int)" }), [
    ...kitNames,
    "001_a",
  ])
})

test("an application without migrations has none", async (t) => {
  const { db } = await open(t)
  assert.deepEqual(await migrateUp(db, await ledgersOf("/nonexistent")), kitNames)
})

test("migrations run by their numbers, 2 before 10", async (t) => {
  const { db } = await open(t)
  const folder = await appWith(t, { "10_b.ts": "alter table a add column j int", "2_a.ts": "create table a (i int)" })
  assert.deepEqual(await migrateUp(db, await ledgersOf(folder)), [...kitNames, "2_a", "10_b"])
})

test("a migration of a branch that is merged later runs although a newer one did", async (t) => {
  const { db } = await open(t)
  const folder = await appWith(t, { "002_b.ts": "create table b (i int)" })
  await migrateUp(db, await ledgersOf(folder))
  await add(folder, { "001_a.ts": "create table a (i int)" })
  const ledgers = await ledgersOf(folder)
  assert.deepEqual(await stateOf(db, [ledgers[1]!]), ["app 001_a pending", "app 002_b applied"])
  assert.deepEqual(await migrateUp(db, ledgers), ["001_a"])
  // Down takes back the one that ran last.
  assert.equal(await migrateDown(db, ledgers[1]!), "001_a")
  assert.equal(await migrateDown(db, ledgers[1]!), "002_b")
  assert.equal(await migrateDown(db, ledgers[1]!), undefined)
  assert.ok(!(await tables(db)).some((name) => name.startsWith("public.")))
})

test("a migration that cannot go down stays, and one that fails to leaves all as it was", async (t) => {
  const { db } = await open(t)
  const oneWay = `export const up = (db) => db.schema.createTable("a").execute()`
  const folder = await appWith(t, { "001_a.ts": oneWay, "002_b.ts": "create table b (i int)" })
  const ledgers = await ledgersOf(folder)
  await migrateUp(db, ledgers)
  await sql`create view sees_b as select * from b`.execute(db)
  await assert.rejects(
    migrateDown(db, ledgers[1]!),
    /002_b\.ts failed, and the database is as it was: cannot drop table b/,
  )
  await sql`drop view sees_b`.execute(db)
  assert.equal(await migrateDown(db, ledgers[1]!), "002_b")
  await assert.rejects(migrateDown(db, ledgers[1]!), /001_a\.ts exports no function "down", so it stays/)
  assert.deepEqual(await stateOf(db, [ledgers[1]!]), ["app 001_a applied", "app 002_b pending"])
})

/** A project: the example's application, with the packages of this repository. */
async function project(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "trestle project "))
  t.after(() => removeProject(folder))
  await cp(join(import.meta.dirname, "sample"), join(folder, "app"), { recursive: true })
  await writeFile(join(folder, "app", "app.ts"), application)
  await writeFile(join(folder, "package.json"), '{ "type": "module", "main": "app/app.ts" }')
  await mkdir(join(folder, "node_modules"))
  await symlink(join(root, "kit"), join(folder, "node_modules", "trestle"))
  return folder
}

const application = `import { defineApp } from "trestle"
export default defineApp({ name: "sample", routes: {}, folder: import.meta.dirname })
`

interface Ended {
  code: number
  stdout: string
  stderr: string
}

/** Runs the command; a server is asked to stop as soon as it is up. */
function trestle(folder: string, args: string[], env: Record<string, string> = {}): Promise<Ended> {
  const { DATABASE_URL: _, ...inherited } = process.env
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [join(root, "kit/src/cli/main.ts"), ...args],
      { cwd: folder, env: { ...inherited, ...env } },
      (error: ExecFileException | null, stdout, stderr) =>
        resolve({ code: error ? ((error.code as number | undefined) ?? -1) : 0, stdout, stderr }),
    )
    createInterface({ input: child.stdout! }).on("line", (line) => {
      if (line.includes("is at http")) child.kill("SIGTERM")
    })
  })
}

test("four processes that migrate at once apply each migration once", async (t) => {
  const { db, address } = await open(t)
  const folder = await project(t)
  await writeFile(
    join(folder, "app/migrations/002_slow.ts"),
    `import { sql } from "trestle"
     export async function up(db) { await sql\`create table slow as select from pg_sleep(0.2)\`.execute(db) }`,
  )
  const env = { DATABASE_URL: urlOf(address) }
  const ended = await Promise.all([1, 2, 3, 4].map(() => trestle(folder, ["migrate", "up"], env)))
  assert.deepEqual(
    ended.map(({ code, stderr }) => [code, stderr]),
    ended.map(() => [0, ""]),
  )
  const applied = ended.map(({ stdout }) => stdout.trim()).sort()
  assert.deepEqual(applied, [
    `Applied: ${kitNames.join(", ")}, 001_items, 002_slow`,
    ...[1, 2, 3].map(() => "Nothing is pending."),
  ])
  const { rows } = await sql<{ name: string }>`select name from trestle.app_migrations order by name`.execute(db)
  assert.deepEqual(rows, [{ name: "001_items" }, { name: "002_slow" }])
})

test("with DATABASE_URL start refuses to run with pending migrations, and only warns of unknown ones", async (t) => {
  const { address } = await open(t)
  const folder = await project(t)
  const env = { DATABASE_URL: urlOf(address), PORT: "0", WORKERS_WEB: "1", WORKERS_JOBS: "0" }
  const refused = await trestle(folder, ["start"], env)
  assert.equal(refused.code, 1)
  assert.equal(
    refused.stderr,
    `The database lacks the migrations ${kitNames.join(", ")}, 001_items. Apply them: npx trestle migrate up\n`,
  )
  assert.equal((await trestle(folder, ["migrate", "up"], env)).code, 0)
  await rm(join(folder, "app/migrations/001_items.ts"))
  const warned = await trestle(folder, ["start"], env)
  assert.equal(warned.code, 0, warned.stderr)
  assert.match(warned.stdout, /\(WARN.*newer migrations than this version: 001_items\./)
})

test("migrate up, status, new and down work on the embedded database", async (t) => {
  const folder = await project(t)
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await trestle(folder, ["migrate", ...args])
    assert.deepEqual([code, stderr], [0, ""])
    return stdout
  }
  assert.match(await run("status"), /^kit {2}001-api-keys +pending\n(?:kit .* pending\n)*app {2}001_items +pending\n$/)
  assert.equal(await run("up"), `Applied: ${kitNames.join(", ")}, 001_items\n`)
  assert.equal(await run("up"), "Nothing is pending.\n")
  assert.equal(await run("new", "actors"), "app/migrations/002_actors.ts\n")
  assert.deepEqual(await readdir(join(folder, "app/migrations")), ["001_items.ts", "002_actors.ts"])

  const refused = async (...args: string[]) => {
    const { code, stderr } = await trestle(folder, ["migrate", ...args])
    assert.equal(code, 1)
    return stderr
  }
  const made = join(folder, "app/migrations/002_actors.ts")
  const write = async (edit: (text: string) => string) => writeFile(made, edit(await readFile(made, "utf8")))
  assert.match(await refused("up"), /002_actors\.ts failed, and the database is as it was: Write this migration first,/)
  await write((text) => text.replace("sql`", "sql`create table actors (i int)").replace(/.*Write this.*\n/, ""))
  assert.match(await run("status"), /app {2}001_items +applied \d{4}-.*Z\napp {2}002_actors +pending\n$/)
  assert.equal(await run("up"), "Applied: 002_actors\n")
  assert.match(await refused("down"), /002_actors\.ts failed, and the database is as it was: Write the way back first,/)
  await write((text) => text.replace("sql`\n", "sql`drop table actors\n").replace(/.*Write the way.*\n/, ""))
  assert.equal(await run("down"), "Took back: 002_actors\n")
  assert.equal(await run("down"), "Took back: 001_items\n")
  assert.equal(await run("down"), "There is nothing to take back.\n")
  assert.equal(await run("down", "--kit"), `Took back: ${kitNames.at(-1)}\n`)
  assert.match(await refused("new", "Two Words"), /Give the migration a name of lower-case letters/)
})
