import assert from "node:assert/strict"
import { readdir, readFile, stat, truncate, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import pg from "pg"
import { BootError } from "../src/core/errors.ts"
import { joinEmbedded, openEmbedded } from "../src/db/embedded/embedded.ts"
import { withStartLock } from "../src/db/embedded/start-lock.ts"
import {
  isRoot,
  later,
  open,
  postmasterOf,
  query,
  run,
  scratch,
  seeded,
  startOwner,
  until,
} from "./embedded/scratch.ts"

test("an empty folder becomes a database that keeps its rows over a restart", async (t) => {
  const { options } = await scratch(t)
  const first = await open(t, options)
  assert.equal(first.created, true)
  assert.equal(first.adopted, false)
  await query(first, "create table movies (title text)")
  await query(first, "insert into movies values ('Amélie')")
  await first.stop()
  await first.stop()
  assert.equal(await postmasterOf(options.folder), undefined)
  const second = await open(t, options)
  assert.equal(second.created, false)
  assert.deepEqual(await query(second, "select title, upper(title) from movies"), [
    { title: "Amélie", upper: "AMÉLIE" },
  ])
  const [settings] = await query(
    second,
    "select current_setting('fsync') as fsync, current_setting('TimeZone') as zone, current_setting('listen_addresses') as tcp",
  )
  assert.deepEqual(settings, { fsync: "on", zone: "UTC", tcp: "" })
  await second.stop()
  assert.deepEqual(
    (await readdir(second.location)).filter((name) => !name.startsWith("runtime-")),
    ["18", "postgres.log"],
  )
})

test("only the owner gets to the socket", async (t) => {
  const { options } = await seeded(t)
  const database = await open(t, options)
  const folder = database.connection.host
  assert.equal((await stat(folder)).mode & 0o777, 0o700)
  assert.equal((await stat(join(folder, ".s.PGSQL.5432"))).mode & 0o777, 0o700)
  assert.equal((await stat(join(database.location, "18"))).mode & 0o777, 0o700)
  if (!isRoot) return t.diagnostic("skipped: only root can try it as another user")
  const script = `require("net").connect(${JSON.stringify(join(folder, ".s.PGSQL.5432"))})
    .on("connect", () => console.log("in")).on("error", (error) => console.log(error.code))`
  const { stdout } = await run(process.execPath, ["-e", script], { uid: 65_534, gid: 65_534, cwd: "/" })
  assert.equal(stdout.trim(), "EACCES")
})

test("of three servers that start at once on nothing, one owns the database and the others name it", async (t) => {
  const { options } = await scratch(t)
  const owners = [1, 2, 3].map(() => startOwner(t, options))
  const lines = await Promise.all(owners.map((owner) => Promise.any([owner.line("ready"), owner.line("failed")])))
  const winners = owners.filter((_, index) => lines[index]?.startsWith("ready"))
  assert.equal(winners.length, 1)
  const winner = winners[0]?.child
  for (const line of lines.filter((line) => line.startsWith("failed"))) {
    assert.match(line, new RegExp(`in use by a server \\(process ${winner?.pid}\\).*DATABASE_URL`))
  }
  await Promise.all(owners.map((owner) => owner === winners[0] || owner.ended))
  assert.ok(await postmasterOf(options.folder), "those that lost leave the database running")
})

test("of thirty that want to start at once, each gets its turn and no two at a time", async (t) => {
  const { project } = await scratch(t)
  await writeFile(join(project, "starting-4194304-1-of-a-dead-process"), "")
  let inside = 0
  const turns = Array.from({ length: 30 }, () =>
    withStartLock(
      project,
      () => {},
      undefined,
      async () => {
        assert.equal(++inside, 1)
        await readdir(project)
        inside--
      },
    ),
  )
  await Promise.all(turns)
  assert.deepEqual(await readdir(project), [])
})

test("a command beside a server is its guest, and leaves the database running", async (t) => {
  const { options } = await seeded(t)
  const server = await open(t, options)
  await assert.rejects(
    openEmbedded(options),
    (error) => error instanceof BootError && /in use by a server/.test(error.message),
  )
  const guest = await joinEmbedded({ ...options, purpose: "token new" })
  assert.equal(guest.isOwner, false)
  assert.deepEqual(guest.connection, server.connection)
  await query(guest, "select 1")
  await guest.stop()
  await query(server, "select 1")
})

test("commands without a server share the database, and the last one to leave stops it", async (t) => {
  const { options } = await seeded(t)
  const first = await joinEmbedded({ ...options, purpose: "token new" })
  const second = await joinEmbedded({ ...options, purpose: "token list" })
  assert.deepEqual([first.isOwner, second.isOwner], [true, false])
  await first.stop()
  await query(second, "select 1")
  await second.stop()
  assert.equal(await postmasterOf(options.folder), undefined)
})

test("a server waits for a command that has the database", async (t) => {
  const { options } = await seeded(t)
  const command = await joinEmbedded({ ...options, purpose: "token new" })
  const server = open(t, options)
  await until(async () => {
    const rows = await query(command, "select 1 from pg_stat_activity where application_name like 'trestle server %'")
    return rows.length > 0
  })
  await command.stop()
  await query(await server, "select 1")
})

test("a killed PostgreSQL comes back by itself, at the same place", async (t) => {
  const { options } = await seeded(t)
  const said: string[] = []
  const database = await open(t, { ...options, log: (_, message) => said.push(message) })
  const pool = new pg.Pool(database.connection)
  pool.on("error", () => {})
  later(t, () => pool.end())
  await pool.query("create table kept as select 1 as one")
  for (let round = 1; round <= 2; round++) {
    process.kill((await postmasterOf(options.folder)) ?? 0, "SIGKILL")
    await until(() => said.filter((message) => message === "The database is back.").length === round)
    assert.deepEqual((await pool.query("select one from kept")).rows, [{ one: 1 }])
  }
})

test("a server that loses its connection takes the ownership of the running database again", async (t) => {
  const { options } = await seeded(t)
  const said: string[] = []
  const database = await open(t, { ...options, log: (_, message) => said.push(message) })
  const pid = await postmasterOf(options.folder)
  await query(
    database,
    "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'trestle server%'",
  )
  await until(() => said.includes("The database is back."))
  assert.equal(await postmasterOf(options.folder), pid)
  await assert.rejects(openEmbedded(options), /in use by a server/)
})

test("stopping while the database is being brought back leaves nothing running", async (t) => {
  const { options } = await seeded(t)
  for (const moment of ["at once", "when it is noticed"]) {
    const noticed = Promise.withResolvers<void>()
    const database = await open(t, { ...options, log: () => noticed.resolve() })
    process.kill((await postmasterOf(options.folder)) ?? 0, "SIGKILL")
    if (moment === "when it is noticed") await noticed.promise
    await database.stop()
    assert.equal(await postmasterOf(options.folder), undefined, moment)
  }
})

test("a server whose database another one took says so once, and does not stop it", async (t) => {
  const { options } = await seeded(t)
  const lost = Promise.withResolvers<Error>()
  const database = await open(t, { ...options, onLost: lost.resolve })
  const other = new pg.Client({ ...database.connection, application_name: `trestle server ${process.pid}` })
  other.on("error", () => {})
  await other.connect()
  const taken = other.query(
    "select pg_advisory_lock(classid::int, objid::int) from pg_locks where locktype = 'advisory'",
  )
  await until(async () => (await query(database, "select 1 from pg_locks where not granted")).length > 0)
  await query(database, "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted")
  await taken
  assert.match((await lost.promise).message, /in use by a server/)
  await database.stop()
  assert.equal((await other.query("select 1 as one")).rowCount, 1)
  await other.end()
})

test("a process that has stopped its database ends by itself", async (t) => {
  const { options } = await seeded(t)
  const owner = startOwner(t, options)
  await owner.line("ready")
  owner.child.stdin?.write("stop\n")
  await owner.line("stopped")
  await owner.ended
  assert.equal(owner.child.exitCode, 0)
  assert.equal(await postmasterOf(options.folder), undefined)
})

test("what PostgreSQL said last is in the message when it does not start, and a full log is rolled", async (t) => {
  const { options } = await seeded(t)
  const database = await open(t, options)
  await database.stop()
  await truncate(join(database.location, "postgres.log"), 11 * 1024 * 1024)
  await writeFile(join(database.location, "18", "postgresql.auto.conf"), "no_such_setting = 1\n")
  await assert.rejects(openEmbedded(options), (error) => {
    assert.ok(error instanceof BootError)
    assert.match(error.message, /did not start.*\n.*no_such_setting/)
    return true
  })
  assert.equal((await stat(join(database.location, "postgres.log.1"))).size, 11 * 1024 * 1024)
  assert.match(await readFile(join(database.location, "postgres.log"), "utf8"), /no_such_setting/)
  assert.deepEqual((await readdir(database.location)).includes("socket"), false)
})
