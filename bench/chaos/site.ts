/** A project in a folder of its own, and servers in it. Whatever is started here is ended here, also when we are interrupted. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import pg from "pg"
import { askControl } from "../../kit/src/supervisor/control.ts"
import type { ProcessStatus, Status } from "../../kit/src/supervisor/status.ts"
import { killDatabase, postmasterOf } from "../../kit/test/embedded/scratch.ts"
import { removeProject } from "../../kit/test/remove-project.ts"
import { type Load, startLoad, type Task } from "./load.ts"

const root = join(import.meta.dirname, "../..")
const trestle = [process.execPath, join(root, "kit/bin/trestle.js")]

export type Settings = Record<string, string>

const usualSettings: Settings = {
  HOST: "127.0.0.1",
  PORT: "0",
  WORKERS_WEB: "2",
  RATE_LIMIT_ENABLED: "false",
  LOGGING_REQUESTS: "off",
}

const files = {
  "package.json": '{ "type": "module", "main": "app/app.ts" }',
  "app/app.ts": [
    'import { defineApp } from "trestle"',
    'import { jobs } from "./jobs-app.ts"',
    'import { routes } from "./routes.ts"',
    'export default defineApp({ name: "chaos", routes: { chaos: routes }, jobs, folder: import.meta.dirname })\n',
  ].join("\n"),
  "app/migrations/001_numbers.ts": `import { type Db, sql } from "trestle"

export const up = async (db: Db) => void (await sql\`create table numbers (n integer)\`.execute(db))
export const down = async (db: Db) => void (await sql\`drop table numbers\`.execute(db))
`,
  "app/migrations/002_runs.ts": `import { type Db, sql } from "trestle"

export const up = async (db: Db) =>
  void (await sql\`create table runs (name text, n integer, pid integer, at timestamptz default clock_timestamp())\`.execute(db))
export const down = async (db: Db) => void (await sql\`drop table runs\`.execute(db))
`,
}

/** How a command ended. */
export interface Ended {
  /** Its exit code, or the signal that ended it. */
  code: number | NodeJS.Signals
  output: string
}

export interface Project extends AsyncDisposable {
  folder: string
  read(name: string): Promise<string>
  write(name: string, text: string): Promise<void>
  /** Starts a server and waits until all its processes answer. `wrapper` is a command that runs it. */
  start(settings?: Settings, wrapper?: string[]): Promise<Server>
  /** Runs `trestle` with these arguments to its end. */
  run(args: string[], settings?: Settings): Promise<Ended>
  /** The process of the embedded database. */
  postmaster(): Promise<number | undefined>
}

export async function makeProject(): Promise<Project> {
  const folder = await mkdtemp(join(tmpdir(), "trestle-chaos-"))
  const data = join(folder, "data/postgres")
  const servers = new Set<Server>()
  const write = async (name: string, text: string) => {
    await mkdir(join(folder, name, ".."), { recursive: true })
    await writeFile(join(folder, name), text)
  }
  for (const [name, text] of Object.entries(files)) await write(name, text)
  for (const name of ["routes.ts", "jobs-app.ts"]) await cp(join(import.meta.dirname, name), join(folder, "app", name))
  await symlink(join(root, "node_modules"), join(folder, "node_modules"))
  return {
    folder,
    read: (name) => readFile(join(folder, name), "utf8"),
    write,
    postmaster: () => postmasterOf(data),
    async start(settings = {}, wrapper = []) {
      const server = new Server(folder, settings, wrapper)
      servers.add(server)
      void server.ended.then(() => servers.delete(server))
      try {
        await server.begin()
      } catch (error) {
        await server[Symbol.asyncDispose]()
        throw error
      }
      return server
    },
    async run(args, settings = {}) {
      const command = new Command(folder, [...trestle, ...args], settings)
      try {
        return await command.ended
      } finally {
        command.kill("SIGKILL")
      }
    },
    async [Symbol.asyncDispose]() {
      for (const server of servers) await server[Symbol.asyncDispose]()
      await killDatabase(data)
      removeProject(folder)
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** As in a shell: without what npm tells its children, and without settings of whoever runs this. */
function plainEnvironment(): NodeJS.ProcessEnv {
  const others = /^(npm_|NODE_TEST_|NODE_OPTIONS$|INIT_CWD$|DATABASE_|REDIS_|WORKERS_|LOGGING_|TLS_|RATE_LIMIT_)/i
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !others.test(name)))
}

/** How much of what a command prints is kept. */
const keptCharacters = 200_000

/** A command in the project's folder, in a process group of its own: Ctrl-C reaches only us, who end it. */
class Command {
  readonly child: ChildProcess
  readonly ended: Promise<Ended>
  isOver = false
  output = ""

  constructor(folder: string, [program = "", ...args]: string[], settings: Settings) {
    this.child = spawn(program, args, {
      cwd: folder,
      env: { ...plainEnvironment(), ...usualSettings, ...settings },
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    })
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      stream.setEncoding("utf8").on("data", (chunk: string) => {
        this.output = (this.output + chunk).slice(-keptCharacters)
        this.child.emit("said")
      })
    }
    const { promise, resolve } = Promise.withResolvers<Ended>()
    this.ended = promise
    this.child.once("error", (error) => resolve({ code: 127, output: error.message }))
    this.child.once("close", (code, signal) => resolve({ code: code ?? signal!, output: this.output }))
    void promise.then(() => (this.isOver = true))
    emergency.add(this)
    void promise.then(() => emergency.delete(this))
  }

  /** Sends a signal to all processes of its group. */
  kill(signal: NodeJS.Signals): void {
    if (!this.isOver && this.child.pid) process.kill(-this.child.pid, signal)
  }
}

/** What must not outlive this process, however that ends. */
const emergency = new Set<Command>()
process.once("exit", () => {
  for (const command of emergency) command.kill("SIGKILL")
})

/** A server may take so long to begin, with an empty database. */
const beginWithinMs = 60_000
/** So long it may take to end when it was asked to: its own limit, and some more. */
const endWithinMs = 45_000

export class Server {
  readonly folder: string
  url = ""
  private readonly command: Command
  private readonly loads = new Set<Load>()
  private readonly settings: Settings
  private disposing: Promise<void> | undefined

  constructor(folder: string, settings: Settings, wrapper: string[]) {
    this.folder = folder
    this.settings = settings
    this.command = new Command(folder, [...wrapper, ...trestle, "start"], settings)
  }

  /** Of the command that was started: the supervisor, or its wrapper. */
  get pid(): number {
    return this.command.child.pid!
  }

  get ended(): Promise<Ended> {
    return this.command.ended
  }

  /** All that it has said, or the last of it. */
  get output(): string {
    return this.command.output
  }

  async begin(): Promise<void> {
    this.url = (await this.says(/ is at (http\S+)\n/, beginWithinMs))[1]!
    await this.allReady()
  }

  /** Sends a signal to the supervisor. */
  kill(signal: NodeJS.Signals): void {
    if (!this.command.isOver) process.kill(this.pid, signal)
  }

  /** Waits for a text in what it prints, from a place in `output` on. */
  async says(awaited: RegExp, withinMs = 20_000, from = 0): Promise<RegExpExecArray> {
    const late = AbortSignal.timeout(withinMs)
    for (;;) {
      const match = awaited.exec(this.output.slice(from))
      if (match) return match
      if (this.command.isOver) throw new Error(`The server ended without ${awaited}:\n${this.output.slice(-3000)}`)
      if (late.aborted)
        throw new Error(`The server did not say ${awaited} in ${withinMs / 1000} s:\n${this.lastLines()}`)
      await Promise.race([once(this.command.child, "said", { signal: late }).catch(() => {}), this.command.ended])
    }
  }

  /** The last of its lines, for whoever wants to know why a promise was broken. */
  lastLines(count = 20): string {
    return this.output.trimEnd().split("\n").slice(-count).join("\n")
  }

  status(): Promise<Status> {
    return askControl(join(this.folder, "data"), "status", 10_000)
  }

  /** Its processes that answer requests, those that are ready. */
  async ready(): Promise<ProcessStatus[]> {
    const { processes } = await this.status()
    return processes.filter(({ name, state }) => name.startsWith("web") && state === "ready")
  }

  /** Those that run jobs. */
  async readyJobs(): Promise<ProcessStatus[]> {
    const { processes } = await this.status()
    return processes.filter(({ name, state }) => name.startsWith("job") && state === "ready")
  }

  async readyPids(): Promise<number[]> {
    return (await this.ready()).map(({ pid }) => pid!)
  }

  /** Waits until as many processes answer as there should be, none of them among `without`; says after how many milliseconds. */
  async allReady(without: number[] = [], withinMs = 30_000): Promise<number> {
    const wanted = Number(this.settings.WORKERS_WEB ?? usualSettings.WORKERS_WEB)
    const began = performance.now()
    for (;;) {
      const pids = await this.readyPids()
      if (pids.length >= wanted && !pids.some((pid) => without.includes(pid))) return performance.now() - began
      if (performance.now() - began > withinMs) throw new Error(`Not all processes answer:\n${this.lastLines()}`)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  /** Clients of this server; they end with it at the latest. */
  load(task: Omit<Task, "url">): Load {
    const load = startLoad({ url: this.url, ...task })
    this.loads.add(load)
    return load
  }

  async databaseUrl(): Promise<string> {
    return (await capture([...trestle, "db", "url"], this.folder)).stdout.trim()
  }

  /** A connection to its database. */
  async database(): Promise<pg.Client> {
    const client = new pg.Client(await this.databaseUrl())
    client.on("error", () => {})
    await client.connect()
    return client
  }

  /** A second wish to stop would mean "at once", so there is only one. */
  [Symbol.asyncDispose](): Promise<void> {
    this.disposing ??= this.dispose()
    return this.disposing
  }

  private async dispose(): Promise<void> {
    for (const load of this.loads) await load[Symbol.asyncDispose]()
    this.kill("SIGTERM")
    const timer = setTimeout(() => this.command.kill("SIGKILL"), endWithinMs)
    await this.command.ended
    clearTimeout(timer)
  }
}

async function capture([program = "", ...args]: string[], cwd: string): Promise<{ stdout: string }> {
  const child = spawn(program, args, { cwd, env: plainEnvironment(), stdio: ["ignore", "pipe", "inherit"] })
  let stdout = ""
  child.stdout.setEncoding("utf8").on("data", (chunk) => (stdout += chunk))
  await once(child, "close")
  return { stdout }
}
