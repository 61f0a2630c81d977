// The watchdog of a process: what it says of one that stands still, and whom it leaves alone. Its processes are real.
import assert from "node:assert/strict"
import { type ChildProcessByStdio, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Readable } from "node:stream"
import { describe, type TestContext, test } from "node:test"
import { setTimeout as pause } from "node:timers/promises"
import { pathToFileURL } from "node:url"
import { runTool } from "../checks/project.ts"
import type { Blocked } from "../src/supervisor/watchdog.ts"
import { textOf, untilSaid } from "./log/processes.ts"

const kit = join(import.meta.dirname, "..")
const script = join(import.meta.dirname, "watchdog-child.ts")
const lines = readFileSync(script, "utf8").split("\n")
const lineWith = (text: string) => lines.findIndex((line) => line.includes(text)) + 1

/** For processes that are to be killed; whoever is to survive gets more, since the machine of the tests is busy. */
const soonMs = 400
const laterMs = 1000

interface Options {
  limitMs?: number
  /** The file of the watchdog. */
  watchdog?: string
  env?: Record<string, string>
  /** What its descriptor 3 is. */
  report?: "pipe" | "ignore"
}

function start(t: TestContext, act: string, options: Options = {}) {
  const { limitMs = soonMs, watchdog = join(kit, "src/supervisor/watchdog.ts"), env, report = "pipe" } = options
  const child = spawn(process.execPath, [script, act, String(limitMs), pathToFileURL(watchdog).href], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe", report],
  }) as ChildProcessByStdio<null, Readable, Readable>
  t.after(() => child.kill("SIGKILL"))
  return child
}

async function outcomeOf(child: ReturnType<typeof start>) {
  const reports = child.stdio[3] as Readable | null
  const texts = [child.stdout, child.stderr, reports].map((stream) => (stream ? textOf(stream) : ""))
  const [out, errors, report] = (await Promise.all(texts)) as [string, string, string]
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit")
  return { end: child.signalCode ?? child.exitCode, out, errors, report }
}

/** Runs a process that is to be killed, and gives the one line that it reported. */
async function blockedIn(t: TestContext, act: string, options?: Options): Promise<Blocked> {
  const { end, errors, report } = await outcomeOf(start(t, act, options))
  assert.equal(errors, "")
  assert.equal(end, "SIGKILL")
  assert.match(report, /^\{"blocked":.*\}\n$/)
  return JSON.parse(report).blocked
}

async function survives(t: TestContext, act: string, options?: Options): Promise<void> {
  const { end, out, report } = await outcomeOf(start(t, act, { limitMs: laterMs, ...options }))
  assert.deepEqual({ end, out, report }, { end: 0, out: "done\n", report: "" })
}

const own = "kit/test/watchdog-child.ts"

test("an endless loop is named by its function, file and line, and its process is killed", async (t) => {
  const { ms, stack, requests } = await blockedIn(t, "loop")
  const [top] = stack
  assert.deepEqual({ ...top, column: 0 }, { function: "spin", file: own, line: lineWith("// spins"), column: 0 })
  assert.ok(top!.column >= 1 && top!.column <= lines[top!.line - 1]!.length)
  assert.ok(ms >= soonMs)
  assert.deepEqual(requests, [])
})

test("a regular expression that comes to no end is named by the call", async (t) => {
  const { stack } = await blockedIn(t, "regexp")
  const { function: name, file, line, column } = stack[0]!
  assert.deepEqual({ name, file, line }, { name: "regexp", file: own, line: lineWith("// tests") })
  assert.match(lines[line - 1]!.slice(column - 1), /^test\(/)
})

test("promises that follow each other without an end are an endless loop too", async (t) => {
  const { stack } = await blockedIn(t, "microtasks")
  assert.equal(stack[0]?.line, lineWith("// awaits"))
})

test("the report names the requests in flight, and can tell for which one the loop runs", async (t) => {
  const { requests } = await blockedIn(t, "requests")
  const [first, ...others] = requests
  assert.deepEqual(first, { id: "three", method: "GET", route: "/movies/:id", ms: 7 })
  assert.deepEqual(
    others.map(({ id }) => id),
    ["one", "two"],
  )
})

test("of many requests the first hundred are named", async (t) => {
  const { requests } = await blockedIn(t, "many requests")
  assert.deepEqual([requests.length, requests[0]!.id, requests[99]!.id], [100, "0", "99"])
})

test("a list of requests that comes to no end costs the list, and not the report", async (t) => {
  const { stack, requests } = await blockedIn(t, "a list without end")
  assert.equal(stack[0]?.function, "spin")
  assert.deepEqual(requests, [])
})

test("the application's own frames come before those of packages and of Node", async (t) => {
  const { stack } = await blockedIn(t, "package")
  const isOwn = stack.map(({ file }) => file === own)
  assert.deepEqual(
    stack.slice(0, 2).map(({ line }) => line),
    [lineWith("// spins"), lineWith("// looks up")],
  )
  assert.equal(isOwn.lastIndexOf(true), isOwn.filter(Boolean).length - 1)
  const others = stack.filter(({ file }) => file !== own).map(({ file }) => file)
  assert.equal(others[0], "node_modules/find-my-way/index.js")
  assert.match(others.at(-1)!, /^node:internal\//)
})

test("of a deep stack the top is told", async (t) => {
  const { stack } = await blockedIn(t, "deep")
  assert.deepEqual([stack.length, stack[0]!.function, stack[1]!.function], [30, "spin", "deep"])
})

test("a process that waits for another program is killed, although nobody sees where it stands", async (t) => {
  const { ms, ...seen } = await blockedIn(t, "another program")
  assert.deepEqual(seen, { stack: [], requests: [] })
})

test("the package's JavaScript starts its thread too", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "trestle-watchdog-"))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const compilerOptions = {
    rootDir: join(kit, "src"),
    outDir: folder,
    typeRoots: [join(kit, "../node_modules/@types")],
  }
  const include = ["watchdog.ts", "watchdog-thread.ts"].map((name) => join(kit, "src/supervisor", name))
  const settings = { extends: join(kit, "tsconfig.build.json"), compilerOptions, include }
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(settings))
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }')
  const built = await runTool("tsc", ["-p", folder])
  assert.equal(built.output.replace(/^npm warn.*$/gm, "").trim(), "")
  const { stack } = await blockedIn(t, "loop", { watchdog: join(folder, "supervisor/watchdog.js") })
  assert.equal(stack[0]?.function, "spin")
})

test("a report that nobody reads goes to standard error, for people", async (t) => {
  const child = start(t, "requests")
  child.stdio[3]!.destroy()
  const [errors] = await Promise.all([textOf(child.stderr), once(child, "exit")])
  assert.equal(child.signalCode, "SIGKILL")
  assert.match(errors, new RegExp(`^Process ${child.pid} stood still for [\\d.]+ s and is killed. It was\n`))
  assert.match(errors, new RegExp(`^ {4}at spin \\(${own}:${lineWith("// spins")}:\\d+\\)$`, "m"))
  assert.match(errors, /^ {4}for {"id":"three",.*}$/m)
})

test("without a pipe for it the report goes to standard error", async (t) => {
  const { end, errors } = await outcomeOf(start(t, "loop", { env: { NO_REPORT: "1" } }))
  assert.equal(end, "SIGKILL")
  assert.match(errors, /^ {4}at spin /m)
})

test("a report waits for room in a pipe that is full", async (t) => {
  const child = start(t, "full pipe")
  await untilSaid(child.stdout, "EAGAIN\n")
  const { end, errors, report } = await outcomeOf(child)
  assert.deepEqual([end, errors], ["SIGKILL", ""])
  assert.equal(JSON.parse(report.trimEnd().split("\n").at(-1)!.replace(/^x*/, "")).blocked.stack[0].function, "spin")
})

// At once, since they take their time.
describe("left alone is", { concurrency: true }, () => {
  test("a process that was stopped from outside, as by a machine that sleeps", async (t) => {
    const child = start(t, "stopped", { limitMs: laterMs })
    await untilSaid(child.stdout, "ready\n")
    child.kill("SIGSTOP")
    await pause(3 * laterMs)
    child.kill("SIGCONT")
    const { end, out, report } = await outcomeOf(child)
    assert.deepEqual({ end, out, report }, { end: 0, out: "done\n", report: "" })
  })

  test("a process that is busy all the time and yields", (t) => survives(t, "busy, with pauses"))

  test("a process that a debugger has halted", (t) => survives(t, "debugged"))

  test("a process whose watchdog was stopped", (t) => survives(t, "not watched any more", { limitMs: soonMs }))

  test("a process whose work is done, which ends by itself", (t) => survives(t, "nothing"))
})
