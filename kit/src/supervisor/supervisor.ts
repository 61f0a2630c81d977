/**
 * Runs a server: owns the sockets and the embedded database, starts the processes that do the work, watches and replaces them.
 * It reads neither the application nor the settings, so that a mistake in them cannot end it.
 */
import { join } from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { isatty } from "node:tty"
import { isDeepStrictEqual } from "node:util"
import type { OpenLog } from "../core/log/open.ts"
import { Log } from "../core/log.ts"
import type { DatabaseAddress } from "../db/database.ts"
import type { Surroundings } from "./boot.ts"
import { type Control, openControl } from "./control.ts"
import { LimitShares } from "./limit-shares.ts"
import type { Settings } from "./messages.ts"
import { Programs } from "./programs.ts"
import { type BoundSockets, bindSockets } from "./sockets.ts"
import type { Status } from "./status.ts"
import { processesOf } from "./status-of.ts"
import { systemd } from "./systemd.ts"
import { userOf } from "./user.ts"
import { Workers } from "./workers.ts"

/** Where the database is, as long as the server runs. */
export interface ServerDatabase {
  address: DatabaseAddress
  /** Where the data of the embedded one is; undefined when the server of DATABASE_URL has it. */
  location: string | undefined
  stop(): Promise<void>
}

export interface SupervisorOptions {
  /** The project's folder. */
  folder: string
  /** What its processes do: answer requests, run jobs, or both. */
  kinds: readonly ("web" | "job")[]
  /** Called once, with the settings of the first process. `onLost`: nobody has the database any more. */
  openDatabase(settings: Settings, log: Log, onLost: () => void): Promise<ServerDatabase>
  openLog(settings: Settings): OpenLog
  /** Tells people where the server is; without a place it only runs jobs. */
  announce(settings: Settings, place: ServerPlace | undefined, location: string | undefined): void
  /** Where to call the server. */
  urlOf(settings: Settings, place: ServerPlace): string
}

/** Where a server is, and what curl must be told to trust it. */
export interface ServerPlace {
  port: number
  isTls: boolean
  trust: string
}

/** A wish to stop often comes twice: to the whole group of processes, and passed on by npm or the launcher. */
const sameWishMs = 500

export class Supervisor {
  private readonly options: SupervisorOptions
  private readonly workers: Workers
  private readonly stopAsked = Promise.withResolvers<void>()
  private readonly limits = new LimitShares({
    send: (id, answer) => this.workers.workers.find((worker) => worker.id === id)?.send({ type: "limits", answer }),
  })
  private opening: Promise<Surroundings> | undefined
  private openLog: OpenLog | undefined
  private database: ServerDatabase | undefined
  private sockets: BoundSockets | undefined
  private programs: Programs | undefined
  private askedAt: number | undefined
  private readonly started = new Date().toISOString()
  private state: Status["state"] = "starting"
  private control: Control | undefined
  private readonly systemd = systemd(new Log("info", "systemd"))
  private settings: Settings | undefined
  /** What the sockets, the database and the log of this process were opened with. */
  private begunWith: Settings | undefined
  private url = ""
  /** How far the start was, and when. */
  private readonly laps: string[] = []

  constructor(options: SupervisorOptions) {
    this.options = options
    this.workers = new Workers({
      folder: options.folder,
      kinds: options.kinds,
      log: () => this.log,
      surroundings: (settings) => this.surroundings(settings),
      userOf,
      migrations: () => (this.database?.location === undefined ? "refuse" : "apply"),
      heard: (worker, message) => {
        if (message.type === "tired") this.workers.recycle(worker, message.why)
        else if (message.type === "sockets") void this.workers.reopen(worker)
        else if (message.type === "suspects") this.workers.runAlone()
        else if (message.type === "finished") this.workers.dismiss(worker)
        else if (message.type === "limits") this.limits.receive(worker.id, message.question)
      },
      begins: ({ id }) => this.limits.add(id),
      drains: ({ id }) => this.limits.drain(id),
      ended: ({ id }) => this.limits.remove(id),
    })
  }

  /** Runs until it is asked to stop. */
  async run(): Promise<void> {
    const signals = {
      SIGINT: () => this.onStop("SIGINT"),
      SIGTERM: () => this.onStop("SIGTERM"),
      SIGHUP: () => this.onHangUp(),
    }
    for (const [signal, listener] of Object.entries(signals)) process.on(signal, listener)
    try {
      const isUp = await Promise.race([this.workers.start(), this.stopAsked.promise])
      if (isUp) await this.announce(isUp)
      await this.stopAsked.promise
    } finally {
      await this.close()
      for (const [signal, listener] of Object.entries(signals)) process.off(signal, listener)
    }
  }

  /** Loads code and settings anew. When that fails the log says why; the error says it to whoever asked. */
  async reload(): Promise<void> {
    const { generation } = this.workers
    try {
      await this.reloadOnce()
    } catch (cause) {
      const extent =
        this.workers.generation === generation ? "Not reloaded, and nothing has changed" : "Reloaded in part"
      const message = `${extent}: ${(cause as Error).message}`
      // Line by line: within one the log would escape what begins another.
      for (const line of message.split("\n")) this.log.error(line)
      throw new Error(message, { cause })
    }
  }

  private async reloadOnce(): Promise<void> {
    if (this.state === "starting") throw new Error("It is starting.")
    if (this.state === "stopping") throw new Error("It is stopping.")
    this.state = "reloading"
    this.log.info("Reloading.")
    await this.systemd.reloading()
    try {
      const settings = await this.workers.reload()
      this.warnOfFixed(settings)
      this.settings = settings
      if (this.answers) {
        // It may speak TLS now.
        this.url = this.options.urlOf(this.begunWith!, await this.place())
        await this.follow(settings)
      }
      this.log.info(`Reloaded: ${this.workers.places.length} processes of generation ${this.workers.generation}.`)
    } finally {
      if (this.state === "reloading") this.state = "running"
      await this.systemd.ready()
    }
  }

  private status(): Status {
    const { generation } = this.workers
    const processes = processesOf(this.workers, this.programs?.all ?? [])
    const { pid } = process
    return {
      pid,
      app: this.settings?.app ?? "",
      url: this.url,
      started: this.started,
      state: this.state,
      generation,
      processes,
    }
  }

  /** What a reload cannot change is told of. */
  private warnOfFixed({ server, database, logging }: Settings): void {
    const before = this.begunWith!
    const changed = [
      ...(server.host !== before.server.host || server.port !== before.server.port
        ? ["server.host and server.port"]
        : []),
      ...(database.url !== before.database.url ? ["database.url"] : []),
      ...(isDeepStrictEqual(logging, before.logging) ? [] : ["logging of the supervisor itself"]),
    ]
    if (changed.length > 0)
      this.log.warn(`A reload does not change ${changed.join(" and ")}: restart the server for that.`)
  }

  private get log(): Log {
    return this.openLog?.log.for("supervisor") ?? new Log("info", "supervisor")
  }

  /** What processes run with, made when the first one has said what it needs. */
  private surroundings(settings: Settings): Promise<Surroundings> {
    this.opening ??= this.open(settings).catch((error) => {
      // The next process may have other settings.
      this.opening = undefined
      throw error
    })
    return this.opening
  }

  private async open(settings: Settings): Promise<Surroundings> {
    this.lap("settings")
    this.openLog ??= this.options.openLog(settings)
    this.control ??= await openControl({
      folder: join(this.options.folder, "data"),
      handlers: { status: () => this.status(), reload: () => this.reload() },
      log: this.log,
    })
    const { host, port } = settings.server
    if (this.answers) this.sockets ??= await bindSockets(host, port)
    this.database ??= await this.options.openDatabase(settings, this.log, () => this.ask())
    this.lap("database")
    return {
      address: this.database.address,
      handles: this.sockets?.handles ?? [],
      windowsFrom: this.limits.windowsFrom,
    }
  }

  /** Whether requests are answered here. */
  private get answers(): boolean {
    return this.options.kinds.includes("web")
  }

  private async announce(settings: Settings): Promise<void> {
    const place = this.answers ? await this.place() : undefined
    this.settings = settings
    this.begunWith = settings
    this.url = place ? this.options.urlOf(settings, place) : ""
    this.state = "running"
    this.lap("ready")
    this.log.debug(`Since the process began: ${this.laps.join(", ")}`)
    this.openLog?.flush()
    this.options.announce(settings, place, this.database?.location)
    void this.systemd.ready(`${this.workers.places.length} processes${place ? ` at ${this.url}` : ""}`)
    this.programs = new Programs({ folder: this.options.folder, log: this.log })
    if (this.answers) await this.follow(settings)
  }

  private async place(): Promise<ServerPlace> {
    // Those that a reload has just begun; one may have ended since.
    const worker = this.workers.places.find(({ current }) => current)?.current
    const { isTls, trust } = (await worker?.prepared) ?? { isTls: this.url.startsWith("https:"), trust: "" }
    return { port: this.sockets!.port, isTls, trust }
  }

  private async follow(settings: Settings): Promise<void> {
    await this.programs?.follow(settings.programs, await userOf(settings), settings.workers.stop_timeout)
  }

  private lap(name: string): void {
    this.laps.push(`${name} at ${Math.round(performance.now())} ms`)
  }

  private ask(): void {
    this.stopAsked.resolve()
  }

  private onStop(signal: string): void {
    if (this.askedAt === undefined) {
      this.askedAt = performance.now()
      this.log.info(`Stopping (${signal}); a second time stops at once.`)
      this.ask()
    } else if (performance.now() - this.askedAt > sameWishMs) {
      this.workers.kill()
      this.programs?.kill()
      process.exit(1)
    }
  }

  /** A terminal that is closed says the same as whoever wants a reload. */
  private onHangUp(): void {
    if (isatty(0) || isatty(1)) this.onStop("SIGHUP")
    // What goes wrong is in the log.
    else this.reload().catch(() => {})
  }

  private async close(): Promise<void> {
    this.state = "stopping"
    void this.systemd.stopping()
    const { delayMs, limitMs } = this.workers.stopLimits
    // Whoever comes when nobody accepts any more is refused at once, and can go elsewhere, instead of waiting until the end.
    const closing = setTimeout(() => this.sockets?.close(), delayMs)
    await Promise.all([this.workers.stop(delayMs, limitMs), pause(delayMs).then(() => this.programs?.stop(limitMs))])
    clearTimeout(closing)
    // What is being opened is there in a moment, and nobody else would close it.
    await this.opening?.catch(() => {})
    this.sockets?.close()
    await this.database?.stop()
    await this.control?.close()
    await this.systemd.close()
    await this.openLog?.close()
  }
}
