import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { readdir, readFile, realpath, stat, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { isRoot, later, open, postmasterOf, query, scratch, seeded, startOwner, until } from "./embedded/scratch.ts"

for (const killed of ["the server", "the server and PostgreSQL"]) {
  test(`no acknowledged row is missing after kill -9 of ${killed} under eight inserters`, async (t) => {
    const { options } = await seeded(t)
    const owner = startOwner(t, { ...options, inserters: 8 })
    await owner.line("ready")
    const pid = (await postmasterOf(options.folder)) ?? 0
    await until(() => owner.acknowledged.length > 500)
    owner.child.kill("SIGKILL")
    if (killed === "the server and PostgreSQL") process.kill(pid, "SIGKILL")
    await owner.ended
    const said: string[] = []
    const database = await open(t, { ...options, log: (level, message) => said.push(`${level}: ${message}`) })
    assert.equal(database.adopted, killed === "the server")
    const news = database.adopted ? `Took over the running database (process ${pid}).` : "The database was killed, and"
    assert.equal(said.filter((line) => line.startsWith(`info: ${news}`)).length, 1, said.join("\n"))
    const found = new Set((await query(database, "select number from acknowledged")).map((row) => row.number))
    assert.deepEqual(
      owner.acknowledged.filter((number) => !found.has(number)),
      [],
    )
  })
}

test("an adopted database is owned like any other: it comes back after a kill, and stops with its server", async (t) => {
  const { options } = await seeded(t)
  const owner = startOwner(t, options)
  await owner.line("ready")
  owner.child.kill("SIGKILL")
  await owner.ended
  const said: string[] = []
  const database = await open(t, { ...options, log: (_, message) => said.push(message) })
  assert.equal(database.adopted, true)
  process.kill((await postmasterOf(options.folder)) ?? 0, "SIGKILL")
  await until(() => said.includes("The database is back."))
  await query(database, "select 1")
  await database.stop()
  assert.equal(await postmasterOf(options.folder), undefined)
  await assert.rejects(stat(database.connection.host), { code: "ENOENT" })
})

test("a server whose start is killed half-way through initdb starts the next time", async (t) => {
  const { options } = await scratch(t)
  const owner = startOwner(t, options, { detached: true })
  await until(async () => {
    const names = await readdir(options.folder).catch(() => [])
    const fresh = names.find((name) => name.startsWith("new-") && !name.endsWith("-runtime"))
    return fresh !== undefined && (await stat(join(options.folder, fresh, "base")).catch(() => undefined)) !== undefined
  })
  process.kill(-(owner.child.pid as number), "SIGKILL") // its process group: initdb too
  await owner.ended
  const database = await open(t, options)
  assert.equal(database.created, true)
  await query(database, "create table movies (title text)")
  assert.deepEqual(
    (await readdir(database.location)).filter((name) => /^(new|starting)-/.test(name)),
    [],
  )
})

test("a stale postmaster.pid whose process id now is another process's does not stop the start", async (t) => {
  const { options } = await seeded(t)
  const owner = startOwner(t, options)
  await owner.line("ready")
  const pid = (await postmasterOf(options.folder)) ?? 0
  const data = join(await realpath(options.folder), "18")
  // PostgreSQL itself refuses to start only when the process has the user id that it runs as.
  const { uid, gid } = await stat(data)
  const bystander = spawn("sleep", ["1000"], { ...(isRoot ? { uid, gid } : {}), stdio: "ignore" })
  later(t, () => bystander.kill("SIGKILL"))
  await once(bystander, "spawn")
  owner.child.kill("SIGKILL")
  process.kill(pid, "SIGKILL")
  await owner.ended
  const file = await readFile(join(data, "postmaster.pid"), "utf8")
  await writeFile(join(data, "postmaster.pid"), file.replace(String(pid), String(bystander.pid)))
  const database = await open(t, options)
  assert.equal(database.adopted, false)
  await query(database, "select * from acknowledged")
  assert.equal(bystander.exitCode ?? bystander.signalCode, null)
})

test("a database that is not durable ends with its process", async (t) => {
  const { options } = await seeded(t)
  const owner = startOwner(t, { ...options, durable: false })
  await owner.line("ready")
  assert.ok(await postmasterOf(options.folder))
  owner.child.kill("SIGKILL")
  await until(async () => (await postmasterOf(options.folder)) === undefined)
})

test("a command beside a killed server stops the database when it leaves", async (t) => {
  const { options } = await seeded(t)
  const server = startOwner(t, options)
  await server.line("ready")
  const command = startOwner(t, { ...options, join: true, purpose: "token new" })
  await command.line("ready")
  server.child.kill("SIGKILL")
  await server.ended
  assert.ok(await postmasterOf(options.folder))
  command.child.stdin?.write("stop\n")
  await command.line("stopped")
  assert.equal(await postmasterOf(options.folder), undefined)
})
