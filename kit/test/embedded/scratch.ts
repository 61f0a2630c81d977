/** Folders, databases and processes for the tests of the embedded database, each cleared away after its test. */
import { type ChildProcess, execFile, type SpawnOptions, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, rmSync } from "node:fs"
import { chmod, mkdir, mkdtemp, readdir, readFile, readlink, realpath, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { createInterface } from "node:readline"
import type { TestContext } from "node:test"
import { setTimeout as pause } from "node:timers/promises"
import { promisify } from "node:util"
import pg from "pg"
import { type Embedded, type EmbeddedOptions, openEmbedded } from "../../src/db/embedded/embedded.ts"
import { readPidFile } from "../../src/db/embedded/postmaster.ts"
import { isPostmasterOf } from "../../src/db/embedded/processes.ts"
import { withStartLock } from "../../src/db/embedded/start-lock.ts"
import { roomInMemory, testServerVariable } from "../../src/db/test-database.ts"

export const run = promisify(execFile)
export const isRoot = process.getuid?.() === 0
export const ownerScript = join(import.meta.dirname, "owner.ts")

const closers = new WeakMap<TestContext, (() => unknown)[]>()

/** Like `t.after`, last come, first served: a folder must outlive the server in it. Node keeps the other order. */
export function later(t: TestContext, work: () => unknown): void {
  const stack = closers.get(t) ?? []
  if (stack.length === 0) {
    closers.set(t, stack)
    t.after(async () => {
      for (const close of stack.reverse()) await close()
    })
  }
  stack.push(work)
}

/** A project folder and what to open in it; `folder` is not there yet. */
export interface Scratch {
  project: string
  options: EmbeddedOptions & { rootBase: string }
}

/** In memory where there is room: a database is 39 MB in 1,000 files, and what a test needs of a disk is that it is there. */
const base = roomInMemory() ? "/dev/shm" : "/tmp"

/** An empty project in a folder that other users may pass through. */
export async function scratch(t: TestContext, ...below: string[]): Promise<Scratch> {
  const top = await mkdtemp(join(base, "trestle-test-"))
  await chmod(top, 0o755)
  const project = join(top, ...below)
  await mkdir(project, { recursive: true })
  const options = { folder: join(project, "data", "postgres"), rootBase: join(top, "root") }
  later(t, async () => {
    await killDatabase(options.folder)
    await rm(top, { recursive: true, force: true })
  })
  return { project, options }
}

/** A project with an empty database that was stopped. */
export async function seeded(t: TestContext): Promise<Scratch> {
  const made = await scratch(t)
  await seed(made.options)
  return made
}

let template: Promise<string> | undefined

/** Puts an empty database into the folder: a copy of one that initdb made once. */
export async function seed({ folder, rootBase }: { folder: string; rootBase: string }): Promise<void> {
  template ??= findTemplate()
  const real = isRoot ? join(rootBase, "seeded") : folder
  await mkdir(real, { recursive: true })
  await chmod(real, isRoot ? 0o711 : 0o700)
  await run("cp", ["-a", await template, real])
  if (isRoot) {
    await mkdir(dirname(folder), { recursive: true })
    await symlink(real, folder)
  }
}

/** Under `trestle test` all test files share one, in the folder that goes with the run. */
async function findTemplate(): Promise<string> {
  if (!process.env[testServerVariable]) {
    const own = await mkdtemp(join(base, "trestle-test-template-"))
    await chmod(own, 0o755)
    process.once("exit", () => rmSync(own, { recursive: true, force: true }))
    return makeTemplate(own)
  }
  const top = join(tmpdir(), "trestle-test-template")
  await mkdir(top, { recursive: true })
  const note = join(top, "made")
  return withStartLock(
    top,
    () => {},
    undefined,
    async () => {
      if (!existsSync(note)) await writeFile(note, await makeTemplate(top))
      return readFile(note, "utf8")
    },
  )
}

async function makeTemplate(top: string): Promise<string> {
  const database = await openEmbedded({
    folder: join(top, "data/postgres"),
    rootBase: join(top, "root"),
    durable: false,
  })
  await database.stop()
  return join(database.location, "18")
}

/** Opens the database in this process; it is stopped after the test. */
export async function open(t: TestContext, options: EmbeddedOptions): Promise<Embedded> {
  const database = await openEmbedded(options)
  later(t, () => database.stop())
  return database
}

/** Runs one statement on a connection of its own and gives its rows. */
// biome-ignore lint/suspicious/noExplicitAny: the tests know the columns that they select
export async function query(database: Pick<Embedded, "connection">, sql: string): Promise<any[]> {
  const client = new pg.Client(database.connection)
  client.on("error", () => {})
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

/** The process of the running PostgreSQL, undefined when there is none. */
export async function postmasterOf(folder: string): Promise<number | undefined> {
  const real = await realpath(folder).catch(() => undefined)
  for (const name of real ? await readdir(real) : []) {
    if (!/^\d+$/.test(name)) continue
    const file = await readPidFile(join(real as string, name))
    if (file && isPostmasterOf(file.pid, join(real as string, name))) return file.pid
  }
  return undefined
}

/** Ends the database of a test that failed before it was stopped. */
export async function killDatabase(folder: string): Promise<void> {
  const pid = await postmasterOf(folder)
  if (pid) {
    process.kill(pid, "SIGQUIT")
    await until(async () => !(await postmasterOf(folder)))
  }
  const sockets = await readlink(join(folder, "socket")).catch(() => undefined)
  if (sockets) await rm(sockets, { recursive: true, force: true })
}

/** Waits for a condition; the limit is far beyond what the slowest machine needs. */
export async function until(condition: () => Promise<boolean> | boolean, limitMs = 120_000): Promise<void> {
  const end = performance.now() + limitMs
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`Not true within ${limitMs / 1000} s: ${condition}`)
    await pause(10)
  }
}

/** A child that runs owner.ts. */
export interface Owner {
  child: ChildProcess
  /** The first line that begins with this word, once it is there; rejects when the child ends without it. */
  line(word: "ready" | "failed" | "stopped"): Promise<string>
  /** Numbers of the rows that PostgreSQL acknowledged. */
  acknowledged: number[]
  /** Ends the child's standard output, and gives how it ended. */
  ended: Promise<unknown>
}

/** Starts owner.ts with options as JSON; `command` goes before Node in its command line. */
export function startOwner(
  t: TestContext,
  options: EmbeddedOptions & { inserters?: number; join?: boolean },
  spawnOptions: SpawnOptions = {},
  command: string[] = [],
): Owner {
  const [program = "", ...args] = [...command, process.execPath, ownerScript, JSON.stringify(options)]
  const child = spawn(program, args, { ...spawnOptions, stdio: ["pipe", "pipe", "inherit"] })
  later(t, async () => {
    if (child.exitCode === null && child.signalCode === null && child.kill("SIGKILL")) await once(child, "exit")
  })
  const acknowledged: number[] = []
  const lines: string[] = []
  const reader = createInterface({ input: child.stdout as NodeJS.ReadableStream })
  reader.on("line", (line) => (/^\d+$/.test(line) ? acknowledged.push(Number(line)) : lines.push(line)))
  const ended = Promise.all([once(child, "exit"), once(reader, "close")])
  let isOver = false
  ended.then(
    () => (isOver = true),
    () => (isOver = true),
  )
  const line = async (word: string) => {
    const find = () => lines.find((one) => one.startsWith(word))
    await until(() => find() !== undefined || isOver)
    const found = find()
    if (!found) throw new Error(`The owner ended without "${word}": ${lines.join("\n")}`)
    return found
  }
  return { child, line, acknowledged, ended }
}
