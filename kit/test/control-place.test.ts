/** Where commands find the server of a project: what it leaves and what it finds there, killed, twice or not allowed to write. */
import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { type TestContext, test } from "node:test"
import { BootError } from "../src/core/errors.ts"
import { Log } from "../src/core/log.ts"
import { askControl, openControl } from "../src/supervisor/control.ts"
import { addressIn, dataFolder, handlers, listenToLog, nobody, open, patienceMs, status } from "./control.ts"
import { isRoot, later } from "./embedded/scratch.ts"

/** A server in a process of its own, to be killed. Resolves when it answers. */
async function startServer(t: TestContext, folder: string, prefix: string[] = []) {
  const code = `const { openControl } = await import(${JSON.stringify(join(import.meta.dirname, "../src/supervisor/control.ts"))})
    const { Log } = await import(${JSON.stringify(join(import.meta.dirname, "../src/core/log.ts"))})
    const status = () => ({ ...${JSON.stringify(status)}, pid: process.pid })
    await openControl({ folder: process.argv[1], handlers: { status, reload: async () => {} }, log: new Log("warn") })
    console.log("open")`
  const command = [...prefix, process.execPath, "--input-type=module", "-e", code, folder]
  const child = spawn(command[0]!, command.slice(1), { stdio: ["ignore", "pipe", "inherit"] })
  const ended = once(child, "exit")
  later(t, async () => {
    child.kill("SIGKILL")
    await ended
  })
  const [said] = await Promise.race([once(child.stdout, "data"), ended])
  assert.equal(String(said), "open\n")
  const { pid, socket } = await addressIn(folder)
  later(t, () => rm(dirname(socket), { recursive: true, force: true }))
  return { child, ended, pid }
}

test("only the owner can reach the server, however long the path of the project is", async (t) => {
  const folder = await dataFolder(t, "a long name ".repeat(9), "and another ".repeat(9))
  const control = await open(t, folder)
  assert.deepEqual(await askControl(folder, "status", patienceMs), status)

  const { pid, socket } = await addressIn(folder)
  assert.equal(pid, process.pid)
  assert.ok(Buffer.byteLength(socket) <= 103, socket)
  const modes = [join(folder, "supervisor.json"), socket, dirname(socket)].map(async (path) => (await stat(path)).mode)
  assert.deepEqual(
    (await Promise.all(modes)).map((mode) => (mode & 0o777).toString(8)),
    ["600", "600", "700"],
  )
  assert.deepEqual(await readdir(folder), ["supervisor.json"])

  await control.close()
  await control.close()
  assert.deepEqual(await readdir(folder), [])
  await assert.rejects(stat(dirname(socket)), { code: "ENOENT" })
  await assert.rejects(askControl(folder, "status", patienceMs), nobody)
})

test("a folder for temporary files with a long name is not used", async (t) => {
  const before = process.env.TMPDIR
  t.after(() => {
    if (before === undefined) delete process.env.TMPDIR
    else process.env.TMPDIR = before
  })
  const folder = await dataFolder(t)
  process.env.TMPDIR = join(dirname(folder), "t".repeat(60))
  await mkdir(process.env.TMPDIR)
  await open(t, folder)
  assert.deepEqual(await askControl(folder, "status", patienceMs), status)
  assert.deepEqual(await readdir(process.env.TMPDIR), [])
})

test("without a server a command says how to start it", async (t) => {
  const folder = await dataFolder(t)
  await assert.rejects(askControl(folder, "status", patienceMs), nobody)
  await mkdir(folder)
  for (const text of ["", "{", "null", "[]", '{"pid":1}', '{"pid":1,"socket":"/nonexistent/socket"}']) {
    await writeFile(join(folder, "supervisor.json"), text)
    await assert.rejects(askControl(folder, "reload", patienceMs), nobody, text)
  }
  // Some other file at that path, and a process id that is somebody else's now.
  const socket = join(folder, "supervisor.json")
  await writeFile(socket, JSON.stringify({ pid: process.pid, socket }))
  await assert.rejects(askControl(folder, "reload", patienceMs), nobody)
  await open(t, folder)
  assert.deepEqual(await askControl(folder, "status", patienceMs), status)
  assert.deepEqual(await readdir(folder), ["supervisor.json"])
})

test("what a killed server left is replaced, and its socket removed", async (t) => {
  const folder = await dataFolder(t)
  const { child, ended, pid } = await startServer(t, folder)
  assert.equal((await askControl(folder, "status", patienceMs)).pid, pid)
  child.kill("SIGKILL")
  await ended
  const left = await addressIn(folder)
  assert.ok((await stat(left.socket)).isSocket())
  await assert.rejects(askControl(folder, "status", patienceMs), nobody)

  // Its process id is somebody else's now.
  await writeFile(join(folder, "supervisor.json"), JSON.stringify({ ...left, pid: process.ppid }))
  await open(t, folder)
  assert.deepEqual(await askControl(folder, "status", patienceMs), status)
  await assert.rejects(stat(dirname(left.socket)), { code: "ENOENT" })
})

test("a file that was tampered with makes a start remove nothing but a socket's folder", async (t) => {
  const folder = await dataFolder(t)
  const precious = join(folder, "precious")
  const inFolder = join(folder, "trestle-control-precious")
  for (const socket of [join(precious, "socket"), join(inFolder, "notes"), join(inFolder, "socket")]) {
    for (const place of [precious, inFolder]) {
      await mkdir(place, { recursive: true })
      await writeFile(join(place, "notes"), "")
    }
    await writeFile(join(folder, "supervisor.json"), JSON.stringify({ pid: 1, socket }))
    const control = await open(t, folder)
    assert.deepEqual([await readdir(precious), await readdir(inFolder)], [["notes"], ["notes"]], socket)
    await control.close()
  }
})

test("a second server of the same project does not start, even while the first one is stopped", async (t) => {
  const folder = await dataFolder(t)
  const { child, pid } = await startServer(t, folder)
  const left = await readFile(join(folder, "supervisor.json"), "utf8")
  const isRefusal = (error: Error) =>
    error instanceof BootError &&
    error.message.startsWith(`The server of this project is already running (pid ${pid}). `)
  const { lines, log } = listenToLog()

  child.kill("SIGSTOP")
  await assert.rejects(openControl({ folder, handlers, log }), isRefusal)
  const late = {
    name: "BootError",
    message: `The server (pid ${pid}) did not answer within 0.05 s. Its log may say more.`,
  }
  await assert.rejects(askControl(folder, "status", 50), late)
  child.kill("SIGCONT")
  await assert.rejects(openControl({ folder, handlers, log }), isRefusal)
  assert.equal((await askControl(folder, "status", patienceMs)).pid, pid)
  assert.equal(await readFile(join(folder, "supervisor.json"), "utf8"), left)
  assert.deepEqual(lines, [])
})

test("of several servers that start at once, after one that was killed, one gets the project", async (t) => {
  const folder = await dataFolder(t)
  await mkdir(folder)
  for (let round = 1; round <= 5; round++) {
    await writeFile(join(folder, "supervisor.json"), '{"pid":1,"socket":"/nonexistent/socket"}')
    const starts = Array.from({ length: 8 }, (_, index) =>
      openControl({
        folder,
        handlers: { ...handlers, status: () => ({ ...status, generation: index }) },
        log: new Log(),
      }),
    )
    const outcomes = await Promise.allSettled(starts)
    const winners = outcomes.flatMap((outcome, index) => (outcome.status === "fulfilled" ? [index] : []))
    assert.equal(winners.length, 1)
    assert.equal((await askControl(folder, "status", patienceMs)).generation, winners[0])
    await (await starts[winners[0]!])!.close()
    assert.deepEqual(await readdir(folder), [])
  }
})

test("a server that closes leaves the file of its successor alone", async (t) => {
  const folder = await dataFolder(t)
  const control = await open(t, folder)
  const others = '{"pid":1,"socket":"/nonexistent/socket"}'
  await writeFile(join(folder, "supervisor.json"), others)
  await control.close()
  assert.equal(await readFile(join(folder, "supervisor.json"), "utf8"), others)

  // Nor does it mind what it cannot remove.
  const last = await open(t, folder)
  const { socket } = await addressIn(folder)
  await rm(join(folder, "supervisor.json"))
  await mkdir(join(folder, "supervisor.json"))
  await last.close()
  await assert.rejects(stat(dirname(socket)), { code: "ENOENT" })
})

test("where nothing can be written the server runs without, after one warning", async (t) => {
  const folder = await dataFolder(t)
  const [file, closed] = [join(dirname(folder), "file"), join(dirname(folder), "closed")]
  await writeFile(file, "")
  await mkdir(closed, { mode: 0o500 })
  // Root may write everywhere, but not into a file.
  for (const place of [join(file, "data"), ...(isRoot ? [] : [closed, join(closed, "data")])]) {
    const { lines, log } = listenToLog()
    const control = await openControl({ folder: place, handlers, log })
    assert.equal(lines.length, 1)
    assert.match(lines[0]!, /\(WARNING\) test: "trestle status" and "trestle reload" cannot reach this server: E\w+: /)
    await assert.rejects(askControl(place, "status", patienceMs), nobody)
    await control.close()
  }
})

test("a command of another user says whose turn it is", { skip: isRoot && "root may read everything" }, async (t) => {
  const folder = await dataFolder(t)
  await open(t, folder)
  await chmod(join(folder, "supervisor.json"), 0)
  const message = /^The server cannot be reached: EACCES: .*\. Ask as the user that runs it, or as root\.$/
  await assert.rejects(askControl(folder, "status", patienceMs), { name: "BootError", message })
})

test("a server with a /tmp of its own is found through its process", async (t) => {
  const folder = await dataFolder(t)
  const own = join(dirname(folder), "tmp")
  await mkdir(own)
  const inOwn = [
    "env",
    `TMPDIR=${own}`,
    "unshare",
    "-m",
    "sh",
    "-c",
    'mount -t tmpfs none "$TMPDIR" && exec "$@"',
    "sh",
  ]
  const probe = spawn(inOwn[0]!, [...inOwn.slice(1), "true"], { stdio: "ignore" })
  const code = await new Promise((resolve) => probe.on("exit", resolve).on("error", resolve))
  if (code !== 0) return t.skip("this user may not mount, or this is not Linux")

  const { child, ended, pid } = await startServer(t, folder, inOwn)
  await assert.rejects(stat((await addressIn(folder)).socket), { code: "ENOENT" })
  assert.equal((await askControl(folder, "status", patienceMs)).pid, pid)
  await assert.rejects(openControl({ folder, handlers, log: new Log() }), /already running/)
  child.kill("SIGKILL")
  await ended
  await assert.rejects(askControl(folder, "status", patienceMs), nobody)
})
