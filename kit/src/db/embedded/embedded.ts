/**
 * The embedded database: a real PostgreSQL in `data/postgres`, for a server without DATABASE_URL. This file is all that others
 * import of this folder. Each database has one owner, which starts it, keeps it running and stops it; a command
 * that comes while the owner is there is its guest.
 */
import { setTimeout as pause } from "node:timers/promises"
import type { BootError } from "../../core/errors.ts"
import type { BinarySources } from "./binaries.ts"
import type { Running } from "./bring-up.ts"
import { endWithParent } from "./end-with-parent.ts"
import { type Entered, type EnterOptions, enter, leave, OwnedByAnotherError } from "./enter.ts"
import type { Log } from "./log.ts"
import { connectionTo } from "./ownership.ts"
import { findPlace, type Place } from "./place.ts"

export interface EmbeddedOptions {
  /** The absolute path of `data/postgres` in the project. As root it becomes a link to a folder below /var/lib/trestle. */
  folder: string
  /** Connections at most, all processes together. Default 50: each costs 2 to 10 MB, and 2 cores are busy with 10. */
  maxConnections?: number
  /**
   * Default true: a committed row is on the disk. False is for tests: fast, lost in a power cut, and the
   * database ends with this process, even after kill -9.
   */
  durable?: boolean
  /** Default: silent. */
  log?: Log
  /** Who asks: "server" (default), or the name of a command such as "token new". Others read it in their messages. */
  purpose?: string
  /** Called once when another process has become the owner: this one has no database any more and should end. */
  onLost?: (reason: BootError) => void
  /** Where root's databases go; for tests. Default /var/lib/trestle. */
  rootBase?: string
  /** Where the binaries are taken from; for tests. */
  sources?: BinarySources
}

/** A running database. */
export interface Embedded {
  /** What `pg.Pool` takes; it stays the same over restarts. `host` is the folder of the Unix socket. */
  readonly connection: { host: string; port: number; user: string; database: string }
  /** The real folder of the data, for people. */
  readonly location: string
  /** False for a guest. */
  readonly isOwner: boolean
  /** True when it ran already: left by a killed server, or (a guest) kept by another one. */
  readonly adopted: boolean
  /** True when it was empty, without any data, before. */
  readonly created: boolean
  /** Milliseconds that opening took, in parts; `totalMs` includes waiting for others and the first connection. */
  readonly timings: Running["timings"] & { totalMs: number }
  /**
   * Stops the database as its owner; as a guest, only leaves it. A command that owned it leaves it to guests that are still
   * there. Call it after closing all pools. May be called again.
   */
  stop(): Promise<void>
}

/**
 * Starts the database of the folder, or adopts one that a killed server left running, and becomes its only owner. When the
 * database dies it is started again; pools reconnect by themselves.
 * @throws BootError when another server owns it, when no PostgreSQL fits, or when the folder is not usable
 * @example const database = await openEmbedded({ folder: "/srv/movies/data/postgres" }); new pg.Pool(database.connection)
 */
export function openEmbedded(options: EmbeddedOptions): Promise<Embedded> {
  return EmbeddedDatabase.open(options, false)
}

/** Joins the database if another process owns it, else owns it until `stop()`: for commands, beside a server or alone. */
export function joinEmbedded(options: EmbeddedOptions): Promise<Embedded> {
  return EmbeddedDatabase.open(options, true)
}

/** The longest pause between two attempts to bring a dead database back. */
const longestPauseMs = 5_000

class EmbeddedDatabase implements Embedded {
  readonly connection: Embedded["connection"]
  readonly location: string
  readonly isOwner: boolean
  readonly adopted: boolean
  readonly created: boolean
  readonly timings: Embedded["timings"]
  private readonly place: Place
  private readonly options: EnterOptions
  private readonly onLost: EmbeddedOptions["onLost"]
  private readonly stopping = new AbortController()
  private readonly watching: Promise<void>
  /** Undefined while the database is away. */
  private entered: Entered | undefined
  private untie: (() => void) | undefined
  private stopped: Promise<void> | undefined

  static async open(options: EmbeddedOptions, asGuest: boolean): Promise<EmbeddedDatabase> {
    const begin = performance.now()
    const place = await findPlace(options.folder, options.rootBase)
    const enterOptions: EnterOptions = {
      maxConnections: options.maxConnections ?? 50,
      durable: options.durable ?? true,
      log: options.log ?? (() => {}),
      purpose: options.purpose ?? "server",
      sources: options.sources,
      asGuest,
    }
    const entered = await enter(place, enterOptions)
    return new EmbeddedDatabase(place, enterOptions, entered, performance.now() - begin, options.onLost)
  }

  private constructor(
    place: Place,
    options: EnterOptions,
    entered: Entered,
    totalMs: number,
    onLost: EmbeddedOptions["onLost"],
  ) {
    const { running } = entered
    this.connection = connectionTo(running)
    this.location = place.folder
    this.isOwner = entered.isOwner
    this.adopted = running.adopted
    this.created = running.created
    this.timings = { ...running.timings, totalMs: Math.round(totalMs) }
    this.place = place
    this.options = { ...options, asGuest: false, socketFolder: running.socketFolder, signal: this.stopping.signal }
    this.onLost = onLost
    this.hold(entered)
    this.watching = entered.isOwner ? this.watch() : Promise.resolve()
  }

  stop(): Promise<void> {
    this.stopped ??= this.stopOnce()
    return this.stopped
  }

  private async stopOnce(): Promise<void> {
    this.stopping.abort()
    const entered = this.entered
    const always = this.options.purpose === "server"
    if (entered) await leave(this.place, entered, this.options, always)
    await this.watching
    // The watch may have brought it back in the very moment of the stop.
    if (this.entered && this.entered !== entered) await leave(this.place, this.entered, this.options, always)
    this.untie?.()
  }

  private hold(entered: Entered): void {
    this.untie?.()
    this.entered = entered
    const isTied = entered.isOwner && !this.options.durable
    this.untie = isTied ? endWithParent(entered.running.pid, this.place.account) : undefined
  }

  /** Ends when the database is stopped or lost to another owner. */
  private async watch(): Promise<void> {
    const { signal } = this.stopping
    for (let held = this.entered; held && !signal.aborted; held = this.entered) {
      await held.session.ended
      if (signal.aborted) return
      this.entered = undefined
      this.options.log("warn", "The connection to the database ended; bringing it back.")
      await this.bringBack(signal)
    }
  }

  private async bringBack(signal: AbortSignal): Promise<void> {
    for (let pauseMs = 50; !signal.aborted; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
      try {
        this.hold(await enter(this.place, this.options))
        return this.options.log("info", "The database is back.")
      } catch (error) {
        if (signal.aborted) return
        this.options.log("error", (error as Error).message)
        if (error instanceof OwnedByAnotherError) return this.onLost?.(error)
        await pause(pauseMs, undefined, { signal }).catch(() => {})
      }
    }
  }
}
