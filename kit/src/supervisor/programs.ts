/** The application's own processes: started with the server, started again when they end, stopped with it. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { setTimeout as pause } from "node:timers/promises"
import { isDeepStrictEqual } from "node:util"
import type { Log } from "../core/log.ts"
import { Backoff } from "./backoff.ts"
import type { User } from "./user.ts"

export interface ProgramCommand {
  command: string
  args: string[]
}

/** A program that ran so long has begun well. */
const youngMs = 10_000

interface Place {
  /** The project's. */
  folder: string
  /** Whom it runs as, like the processes that answer requests; the supervisor's user without it. */
  user: User | undefined
  log: Log
}

/** One program and whatever runs it now. */
export class Program {
  readonly name: string
  readonly command: ProgramCommand
  started: number | undefined
  restarts = 0
  lastEnd: string | null = null
  readonly user: User | undefined
  private readonly folder: string
  private readonly log: Log
  private readonly stopped = new AbortController()
  private readonly done: Promise<void>
  private child: ChildProcess | undefined

  constructor(name: string, command: ProgramCommand, { folder, user, log }: Place) {
    this.name = name
    this.command = command
    this.user = user
    this.folder = folder
    this.log = log
    this.done = this.run()
  }

  get pid(): number | undefined {
    return this.child?.pid
  }

  /** Asks it to end, and kills it after the limit. */
  async stop(limitMs: number): Promise<void> {
    this.stopped.abort()
    this.child?.kill("SIGTERM")
    const timer = setTimeout(() => this.kill(), limitMs)
    await this.done
    clearTimeout(timer)
  }

  kill(): void {
    this.stopped.abort()
    this.child?.kill("SIGKILL")
  }

  private async run(): Promise<void> {
    const { signal } = this.stopped
    const backoff = new Backoff()
    while (!signal.aborted) {
      const why = await this.runOnce()
      if (signal.aborted) return
      this.lastEnd = why
      this.restarts++
      if (Date.now() - this.started! >= youngMs) backoff.succeeded()
      const wait = backoff.failed()
      this.log.error(`The program ${this.name} ended: ${why}. It is started again in ${wait} ms.`)
      await pause(wait, undefined, { signal }).catch(() => {})
    }
  }

  private async runOnce(): Promise<string> {
    const { command, args } = this.command
    this.started = Date.now()
    const program = command === "node" ? process.execPath : command
    try {
      // It throws at a command that no system could run, and emits an error for one that this system cannot.
      const child = spawn(program, args, { cwd: this.folder, stdio: ["ignore", "inherit", "inherit"], ...this.user })
      this.child = child
      const [code, killer] = await once(child, "exit")
      return killer ?? `exit code ${code}`
    } catch (error) {
      return (error as Error).message
    } finally {
      this.child = undefined
    }
  }
}

/** All programs of an application, as its newest version names them. */
export class Programs {
  private programs: Program[] = []
  /** Those that are no longer named, and have not ended. */
  private readonly former = new Set<Program>()
  private isStopping = false
  private readonly place: Omit<Place, "user">

  constructor(place: Omit<Place, "user">) {
    this.place = place
  }

  get all(): readonly Program[] {
    return this.programs
  }

  /** Stops the ones that are no longer named, or named otherwise, and starts the new ones. */
  async follow(commands: Record<string, ProgramCommand>, user: User | undefined, limitMs: number): Promise<void> {
    const isCurrent = (program: Program) =>
      isDeepStrictEqual(program.command, commands[program.name]) && isDeepStrictEqual(program.user, user)
    const former = this.programs.filter((program) => !isCurrent(program))
    this.programs = this.programs.filter(isCurrent)
    for (const program of former) this.former.add(program)
    await Promise.all(former.map((program) => program.stop(limitMs)))
    for (const program of former) this.former.delete(program)
    if (this.isStopping) return
    for (const [name, command] of Object.entries(commands)) {
      if (this.programs.some((program) => program.name === name)) continue
      this.programs.push(new Program(name, command, { ...this.place, user }))
    }
  }

  async stop(limitMs: number): Promise<void> {
    this.isStopping = true
    await Promise.all([...this.programs, ...this.former].map((program) => program.stop(limitMs)))
  }

  kill(): void {
    this.isStopping = true
    for (const program of [...this.programs, ...this.former]) program.kill()
  }
}
