/** One process that the supervisor has started: what it said, how it is, how it ended. */
import { type ChildProcess, fork } from "node:child_process"
import { readFileSync } from "node:fs"
import type { Socket } from "node:net"
import { createInterface } from "node:readline"
import type { Readable } from "node:stream"
import type { FromWorker, Settings, ToWorker, Vitals } from "./messages.ts"
import type { SocketHandle } from "./sockets.ts"
import type { User } from "./user.ts"
import type { Blocked } from "./watchdog.ts"

/** Why a process did not come so far that it answers. */
export class BootFailure extends Error {
  /** Whether it would not begin another time either: its reason is for people, as with a wrong setting. */
  readonly isFinal: boolean

  constructor(reason: string, isFinal: boolean) {
    super(reason)
    this.isFinal = isFinal
  }
}

export interface WorkerOptions {
  /** What the log calls it: `web 1`. */
  name: string
  /** The command of `trestle` that it runs. */
  command: string
  /** The project's folder. */
  folder: string
  /** Whom it runs as; the supervisor's user without it. */
  user: User | undefined
  /** Told of whatever it says. */
  heard(worker: WorkerProcess, message: FromWorker): void
  /** Told that its event loop stood still; it has killed itself. */
  blocked(worker: WorkerProcess, report: Blocked): void
}

let count = 0

export class WorkerProcess {
  /** Different from that of every other process, also of those that have ended. */
  readonly id = ++count
  readonly name: string
  readonly started = Date.now()
  state: "starting" | "ready" | "draining" | "ended" = "starting"
  vitals: Vitals = { connections: 0, requests: 0, answered: 0, memory: 0, delay: 0 }
  connections = 0
  /** Resident, in bytes, before it had answered anything. */
  memoryAtFirst: number | undefined
  /** For how long nothing was heard of it, in milliseconds that the supervisor itself was awake. */
  silentMs = 0
  /** Whether it was told to accept nothing, because it has more connections than its share. */
  isPaused = false
  /** What it has read of its settings. Rejects when it ended before. */
  readonly settings: Promise<Settings>
  /** Settles when it is done with migrations. Rejects when it ended before. */
  readonly migrated: Promise<void>
  /** What clients must know of it. Rejects when it ended before it could take connections. */
  readonly prepared: Promise<{ isTls: boolean; trust: string }>
  readonly ready: Promise<void>
  /** Why it ended. */
  readonly ended: Promise<string>

  private readonly child: ChildProcess
  private failure: BootFailure | undefined
  private killedBecause: string | undefined

  constructor({ name, command, folder, user, heard, blocked }: WorkerOptions) {
    this.name = name
    this.child = fork(process.argv[1]!, [command], {
      cwd: folder,
      env: { ...process.env, TRESTLE_PROCESS: name, ...memoryEnvironment },
      // The last one is the watchdog's: it speaks while the rest of the process cannot.
      stdio: ["ignore", "inherit", "inherit", "ipc", "pipe"],
      ...user,
    })
    const settings = Promise.withResolvers<Settings>()
    const migrated = Promise.withResolvers<void>()
    const prepared = Promise.withResolvers<{ isTls: boolean; trust: string }>()
    const ready = Promise.withResolvers<void>()
    const ended = Promise.withResolvers<string>()
    for (const { promise } of [settings, migrated, prepared, ready]) promise.catch(() => {})
    this.settings = settings.promise
    this.migrated = migrated.promise
    this.prepared = prepared.promise
    this.ready = ready.promise
    this.ended = ended.promise

    // The process could not be started, or a message not be sent to it: its end follows.
    this.child.on("error", (error) => {
      this.failure ??= new BootFailure(error.message, false)
      if (this.child.pid === undefined) this.child.emit("close", null, null)
    })
    this.child.on("message", (message: FromWorker) => {
      this.silentMs = 0
      // Packages say things to a parent too, such as "ready" to pm2.
      if (typeof message?.type !== "string") return
      if (message.type === "settings") settings.resolve(message.settings)
      else if (message.type === "migrated") migrated.resolve()
      else if (message.type === "prepared") prepared.resolve(message)
      else if (message.type === "failed") this.failure = new BootFailure(message.reason, message.isFinal)
      else if (message.type === "vitals") {
        this.vitals = message.vitals
        this.memoryAtFirst ??= message.vitals.memory
      } else if (message.type === "connections") this.connections = message.connections
      else if (message.type === "ready") {
        this.isPaused = false
        if (this.state === "starting") this.state = "ready"
        ready.resolve()
      }
      heard(this, message)
    })
    this.readReports((report) => {
      this.killedBecause ??= `its event loop stood still for ${(report.ms / 1000).toFixed(1)} s`
      blocked(this, report)
    })
    // Not "exit": what its watchdog said last would be missing.
    this.child.once("close", (code, signal) => {
      const wasDraining = this.state === "draining"
      this.state = "ended"
      const how = signal ?? (code === null ? "could not start" : `exit code ${code}`)
      const why = this.killedBecause ?? (wasDraining && code === 0 ? "replaced" : how)
      const failure = this.failure ?? new BootFailure(`${name} ended before it was ready: ${why}`, false)
      for (const { reject } of [settings, migrated, prepared, ready]) reject(failure)
      ended.resolve(why)
    })
  }

  private readReports(heard: (report: Blocked) => void): void {
    // Where there are no descriptors left there are no streams either, whatever Node's types say.
    const input = this.child.stdio?.[4] as Readable | undefined
    if (!input) return
    const reports = createInterface({ input })
    reports.on("line", (line) => {
      const report = reportIn(line)
      if (report) heard(report)
    })
    reports.on("error", () => {})
  }

  get pid(): number | undefined {
    return this.child.pid
  }

  send(message: ToWorker): void {
    // It may end at any moment; that is told by its end.
    if (this.child.connected) this.child.send(message, () => {})
  }

  /** Gives it the sockets to accept from. */
  listen(handles: SocketHandle[]): void {
    for (const handle of handles) {
      const message: ToWorker = { type: "listen", of: handles.length }
      if (this.child.connected) this.child.send(message, handle as unknown as Socket, () => {})
    }
  }

  /** Lets it answer what it has, and end; what is left after the limit is cut, and the process with it. */
  drain({ delayMs = 0, limitMs, hasSuccessor }: { delayMs?: number; limitMs: number; hasSuccessor: boolean }): void {
    if (this.state === "draining" || this.state === "ended") return
    this.state = "draining"
    this.send({ type: "drain", delayMs, limitMs, hasSuccessor })
    const timer = setTimeout(() => this.kill("it did not end in time"), delayMs + limitMs + killAfterMs)
    void this.ended.then(() => clearTimeout(timer))
  }

  /** Whether it was stopped as a whole, as by SIGSTOP. Only Linux tells. */
  get isHalted(): boolean {
    try {
      // proc(5): the state stands behind the program's name in brackets.
      const stat = readFileSync(`/proc/${this.pid}/stat`, "utf8")
      return /^[Tt]/.test(stat.slice(stat.lastIndexOf(")") + 2))
    } catch {
      return false
    }
  }

  kill(why: string): void {
    this.killedBecause ??= why
    this.child.kill("SIGKILL")
  }
}

/** Undefined for half a line, whose writer was killed meanwhile, and for what others wrote there. */
function reportIn(line: string): Blocked | undefined {
  try {
    const { blocked } = JSON.parse(line) as { blocked: Blocked }
    return Array.isArray(blocked.stack) && Array.isArray(blocked.requests) ? blocked : undefined
  } catch {
    return undefined
  }
}

/** After its limit a process has so long to close its database and its log. */
const killAfterMs = 5000

/** glibc's arenas keep what password hashes used: 135 MB for each process without a bound. */
const memoryEnvironment = process.env.MALLOC_ARENA_MAX === undefined ? { MALLOC_ARENA_MAX: "2" } : {}
