/** The log's file: rotation, many processes, and what goes wrong with files. */
import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { once } from "node:events"
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs"
import { dirname, join } from "node:path"
import { type TestContext, test } from "node:test"
import { LogFile } from "../src/core/log/file.ts"
import { linesOf, scratch, start, textOf, untilSaid, write } from "./log/processes.ts"

/** A file in a folder of its own, and what it complained of. */
function open(t: TestContext, { size = 1_000_000, backups = 5, path = join(scratch(t), "logs", "server.log") } = {}) {
  const complaints: string[] = []
  const sayLost = (count: number) => Buffer.from(`${count} lost\n`)
  const file = new LogFile({ path, size, backups, sayLost, complain: (message) => void complaints.push(message) })
  const folder = dirname(path)
  // Closing writes what was kept, and would make the folder again.
  t.after(async () => {
    await file.close()
    rmSync(folder, { recursive: true, force: true })
  })
  return {
    file,
    path,
    folder,
    complaints,
    add: (text: string) => file.write(Buffer.from(text)),
    lines: () => linesOf(folder),
  }
}

test("the folder and the file are made, closed to other users", (t) => {
  const { path, folder } = open(t)
  assert.equal(statSync(folder).mode & 0o777, 0o750)
  assert.equal(statSync(path).mode & 0o777, 0o640)
})

test("a full file is renamed, older ones move on, and the oldest goes", (t) => {
  const { add, folder, lines } = open(t, { size: 20, backups: 3 })
  for (let n = 1; n <= 8; n++) add(`this is line ${n}\n`)
  assert.deepEqual(readdirSync(folder).sort(), ["server.log", "server.log.1", "server.log.2", "server.log.3"])
  assert.deepEqual(
    lines(),
    [5, 6, 7, 8].map((n) => `this is line ${n}`),
  )
})

test("without backups a full file is begun anew", (t) => {
  const { add, folder, lines } = open(t, { size: 20, backups: 0 })
  for (let n = 1; n <= 3; n++) add(`this is line ${n}\n`)
  assert.deepEqual(readdirSync(folder), ["server.log"])
  assert.deepEqual(lines(), ["this is line 3"])
})

test("half a line that a killed process left stays alone on its line, and there are no empty lines", (t) => {
  const path = join(scratch(t), "server.log")
  writeFileSync(path, "torn before")
  const { add, lines } = open(t, { path })
  add("one\n")
  add("two\n")
  appendFileSync(path, "torn mean")
  add("three\n")
  add("four\n")
  assert.deepEqual(lines(), ["torn before", "one", "two", "torn mean", "three", "four"])
})

test("a file that somebody renamed or removed is begun anew, its folder too", (t) => {
  const { add, folder, lines } = open(t)
  add("one\n")
  rmSync(folder, { recursive: true })
  add("two\n")
  assert.deepEqual(lines(), ["two"])
})

test("a full disk is said once; the lines come when there is room, and what was too much is counted", async (t) => {
  const path = join(scratch(t), "server.log")
  symlinkSync("/dev/full", path)
  const { file, add, complaints, lines } = open(t, { path })
  add("one\n")
  file.finish()
  add("two\n")
  assert.equal(complaints.length, 1)
  assert.match(complaints[0]!, /server\.log cannot be written: ENOSPC.* Lines are kept and tried again\.$/)
  add(`${"x".repeat(4_000_000)}\n`)
  add(`too much\n${"y".repeat(1_000_000)}\n`)
  rmSync(path)
  file.finish()
  assert.deepEqual(
    lines().map((line) => line.slice(0, 10)),
    ["one", "two", "xxxxxxxxxx", "2 lost"],
  )
  add("three\n")
  assert.equal(lines().at(-1), "three")
  assert.equal(complaints.length, 1)
})

test("a folder that cannot be made is said, and does not stop the process", async (t) => {
  const folder = scratch(t)
  writeFileSync(join(folder, "logs"), "a file in the way")
  const { code, out, errors } = await write(t, { folder, env: {}, lines: 3 })
  assert.equal(code, 0)
  assert.equal(out.split("\n").length - 1, 3)
  assert.match(errors, /^The log file .*server\.log cannot be written: [^\n]*\n$/)
})

test("a file that cannot be renamed grows, which is said once", (t) => {
  const { add, path, complaints, lines } = open(t, { size: 20, backups: 1 })
  mkdirSync(join(`${path}.1`, "in the way"), { recursive: true })
  for (let n = 1; n <= 5; n++) add(`this is line ${n}\n`)
  rmSync(`${path}.1`, { recursive: true })
  assert.equal(lines().length, 5)
  assert.equal(complaints.length, 1)
  assert.match(complaints[0]!, /cannot be renamed, so it grows/)
})

test("while another process renames, the file grows; the lock of a killed one is taken away", (t) => {
  const { add, path, lines } = open(t, { size: 20 })
  writeFileSync(`${path}.lock`, "")
  for (let n = 1; n <= 3; n++) add(`this is line ${n}\n`)
  assert.ok(!existsSync(`${path}.1`))
  const before = new Date(Date.now() - 60_000)
  utimesSync(`${path}.lock`, before, before)
  for (let n = 4; n <= 6; n++) add(`this is line ${n}\n`)
  assert.ok(existsSync(`${path}.1`))
  assert.ok(!existsSync(`${path}.lock`))
  assert.equal(lines().length, 6)
})

test("a file that may not be read or written is no reason to stop", {
  skip: process.getuid?.() === 0 && "root may",
}, (t) => {
  const { file, add, path, complaints } = open(t)
  file.close()
  chmodSync(path, 0o000)
  add("one\n")
  assert.match(complaints[0]!, /EACCES/)
})

/** Each line that a writer of this name wrote, by its number; fails at a line that is not whole. */
function numbersOf(lines: string[], name: string, text: string): number[] {
  const end = `:${text}:end`
  return lines
    .filter((line) => line.includes(`server: ${name}:`))
    .map((line) => {
      assert.ok(/^\[\d\d\/\d\d\/\d{4} \| \d\d:\d\d:\d\d\] \(INFO\) server: /.test(line) && line.endsWith(end), line)
      return Number(line.split(":")[4])
    })
}

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1)

test("four processes over many rotations: no line is torn, lost, doubled or empty", async (t) => {
  const folder = scratch(t)
  const env = { LOGGING_FILE: "server.log", LOGGING_FILE_SIZE: "100 kB", LOGGING_FILE_BACKUPS: "100" }
  const names = ["a", "b", "c", "d"]
  const [lines, text] = [12_000, "x".repeat(60)]
  const ends = await Promise.all(names.map((name) => write(t, { folder, env, name, lines, text })))
  assert.deepEqual(
    ends.map(({ code, errors }) => `${code}${errors}`),
    ["0", "0", "0", "0"],
  )

  const written = linesOf(folder)
  // How often the file was full when somebody looked is the machine's affair.
  assert.ok(readdirSync(folder).length > 2)
  assert.ok(!existsSync(join(folder, "server.log.lock")))
  assert.equal(written.length, names.length * lines)
  for (const name of names) {
    assert.deepEqual(
      numbersOf(written, name, text).sort((a, b) => a - b),
      upTo(lines),
    )
  }
})

test("kill -9 while writing costs the other processes nothing", async (t) => {
  const folder = scratch(t)
  const env = { LOGGING_FILE: "server.log", LOGGING_FILE_SIZE: "50 MB" }
  const [lines, text] = [3000, "x".repeat(400)]
  const others = ["a", "b"].map((name) => write(t, { folder, env, name, lines, text }))
  const victims = ["v", "w"].map(async (name, index) => {
    const victim = start(t, "writer", { folder, env, name, lines: 1_000_000, text, markAt: 1000 * (index + 1) })
    victim.stdout.resume()
    await untilSaid(victim.stderr, "mark")
    victim.kill("SIGKILL")
    await once(victim, "exit")
  })
  await Promise.all([...others, ...victims])
  const written = linesOf(folder)
  for (const name of ["a", "b"]) assert.deepEqual(numbersOf(written, name, text), upTo(lines))
  for (const name of ["v", "w"]) {
    const whole = written.filter((line) => line.includes(`server: ${name}:`) && line.endsWith(":end"))
    assert.deepEqual(numbersOf(whole, name, text), upTo(whole.length))
  }
  // A torn line is one that the victim began, and at most one each.
  assert.ok(written.filter((line) => !line.endsWith(":end")).length <= 2)
  assert.ok(!written.includes(""))
})

test("a clean stop, process.exit and an error that nobody catches lose nothing; a WARNING is written at once", async (t) => {
  for (const [end, expected] of Object.entries({ close: 0, exit: 3, throw: 1, kill: null })) {
    const folder = scratch(t)
    const task = { folder, env: { LOGGING_FILE: "server.log" }, lines: 5, end, ...(end === "kill" && { warnAt: 5 }) }
    const { code, out } = await write(t, task)
    assert.equal(code, expected)
    assert.equal(linesOf(folder).length, 5, end)
    assert.equal(out, readFileSync(join(folder, "server.log"), "utf8"))
  }
})

test('"none" writes no file', async (t) => {
  const folder = scratch(t)
  const { out } = await write(t, { folder, env: { LOGGING_FILE: "none" } })
  assert.match(out, /one:1/)
  assert.deepEqual(readdirSync(folder), [])
})

test("INFO that nobody follows comes all the same", async (t) => {
  const child = start(t, "writer", { folder: scratch(t), env: {}, end: "wait" })
  await untilSaid(child.stdout, "one:1::end")
})

test("a reader of standard output that is slow holds up nobody and misses nothing", async (t) => {
  const [lines, text] = [30_000, "x".repeat(100)]
  for (const end of ["close", "exit"]) {
    const child = start(t, "writer", { folder: scratch(t), env: {}, lines, text, end, markAt: lines })
    // All is logged, 4 MB of it, and nobody has read a line.
    await untilSaid(child.stderr, "mark")
    const out = (await textOf(child.stdout)).split("\n")
    assert.deepEqual(numbersOf(out, "one", text), upTo(lines))
    assert.equal(out.length, lines + 1)
  }
})

test("a standard output that was closed stops nothing", async (t) => {
  const folder = scratch(t)
  const child = start(t, "writer", { folder, env: {}, lines: 20_000, text: "x".repeat(60) })
  child.stdout.destroy()
  const [[code], errors] = await Promise.all([once(child, "close"), textOf(child.stderr)])
  assert.equal(`${code}${errors}`, "0")
  assert.equal(linesOf(join(folder, "logs")).length, 20_000)
})

/** What a terminal shows, through `script` of util-linux. */
function onTerminal(folder: string, env: Record<string, string>): string {
  const writer = join(import.meta.dirname, "log/writer.ts")
  const task = JSON.stringify({ folder, env: { LOGGING_FILE: "server.log", ...env }, warnAt: 1 })
  const command = [process.execPath, writer, task].map((word) => `'${word}'`).join(" ")
  const { NO_COLOR: _, ...rest } = process.env
  const options = { encoding: "utf8", env: { ...rest, TERM: "xterm", ...env } } as const
  return spawnSync("script", ["-qec", command, "/dev/null"], options).stdout
}

const hasScript = spawnSync("script", ["--version"]).status === 0

test("colours are for a terminal only, and not with NO_COLOR", { skip: !hasScript && "no script(1) here" }, (t) => {
  const folder = scratch(t)
  const yellow = "\x1b[33m(WARNING)\x1b[0m server: one:1::end"
  assert.ok(onTerminal(folder, {}).includes(yellow))
  assert.ok(!onTerminal(folder, { NO_COLOR: "1" }).includes("\x1b"))
  assert.ok(!onTerminal(folder, { LOGGING_FORMAT: "json" }).includes("\x1b"))
  assert.ok(!linesOf(folder).join("").includes("\x1b"))
})
