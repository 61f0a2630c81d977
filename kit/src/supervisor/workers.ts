/** The processes that do the work: so many of each kind at any time, each in a place of its own, replaced when they end or are tired. */
import { setTimeout as pause } from "node:timers/promises"
import { BootError } from "../core/errors.ts"
import type { Log } from "../core/log.ts"
import { Backoff } from "./backoff.ts"
import { balance } from "./balance.ts"
import { blockedText } from "./blocked-text.ts"
import { bootProcess, type Surroundings, WrongUser } from "./boot.ts"
import { killHarmful } from "./harm.ts"
import type { FromWorker, Settings } from "./messages.ts"
import { commandOf, megabytes, Place } from "./place.ts"
import { lendLog, type User } from "./user.ts"
import type { Blocked } from "./watchdog.ts"
import { BootFailure, WorkerProcess } from "./worker-process.ts"

/** How often processes are looked at. */
const tickMs = 250
/** A process that ended sooner after it was ready has not begun well. */
const youngMs = 1000

export interface WorkersOptions {
  folder: string
  /** Which there are as many of as the settings say, the ones to start first before the others. */
  kinds: readonly ("web" | "job")[]
  /** The log as it is now: before the first process has read the settings it is another one. */
  log(): Log
  /** Called with the settings that a process has read, before it begins. */
  surroundings(settings: Settings): Promise<Surroundings>
  /** Whom the processes run as: the supervisor's own user, until the first one has read the settings. */
  userOf(settings: Settings | undefined): Promise<User | undefined>
  /** Whether pending migrations are applied, or refused. */
  migrations(): "apply" | "refuse"
  heard(worker: WorkerProcess, message: FromWorker): void
  /** A process is about to begin; it may ask for limits from now on. */
  begins(worker: WorkerProcess): void
  /** A process was told to end. */
  drains(worker: WorkerProcess): void
  /** Nothing comes from a process any more. */
  ended(worker: WorkerProcess): void
}

export class Workers {
  /** Counts the versions that were loaded. */
  generation = 0
  readonly places: Place[] = []
  private readonly options: WorkersOptions
  private readonly all = new Set<WorkerProcess>()
  private readonly stopped = new AbortController()
  private settings: Settings | undefined
  /** Replacements of processes that could go on come one after the other. */
  private turn: Promise<unknown> = Promise.resolve()
  private timer: NodeJS.Timeout | undefined
  private lastTick = 0

  constructor(options: WorkersOptions) {
    this.options = options
  }

  /**
   * Starts them, and settles when the first one answers.
   * @throws BootFailure when it cannot, final or five times
   */
  async start(): Promise<Settings> {
    const [kind] = this.options.kinds
    const first = new Place(kind!, `${kind} 1`)
    this.places.push(first)
    for (;;) {
      try {
        await this.fill(first, true)
        break
      } catch (error) {
        const wait = first.backoff.failed()
        const isFinal = error instanceof BootError || (error as BootFailure).isFinal
        if (this.isStopping || isFinal || first.backoff.isHopeless()) throw error
        this.complain(`${(error as Error).message}\nTrying again in ${wait} ms.`)
        await this.wait(first, wait)
      }
    }
    this.generation = 1
    this.lastTick = performance.now()
    this.timer = setInterval(() => this.look(), tickMs)
    this.resize()
    return this.settings!
  }

  /**
   * Replaces all by processes that read the application and the settings anew.
   * @throws BootFailure when the first of them cannot begin; then all is as it was
   * @throws Error when the first did, and another could not, five times
   */
  reload(): Promise<Settings> {
    return this.next(async () => {
      const [first] = this.places
      await first!.inTurn(() => this.replace(first!, true))
      this.generation++
      for (const place of this.places.slice(1)) {
        // The next one that runs jobs alone will be of the new version, and there may be no more for it.
        if (place.kind !== "alone") await this.follow(place)
      }
      this.resize()
      return this.settings!
    })
  }

  /**
   * Replaces a process by one of a version that has begun once. A failure is not the version's then, but that of one process, and
   * it is tried again as often as at a start: two versions at a time are worse than a reload that takes longer.
   */
  private async follow(place: Place): Promise<void> {
    const backoff = new Backoff()
    for (;;) {
      try {
        return await place.inTurn(() => this.replace(place, false))
      } catch (error) {
        const { message } = error as Error
        const wait = backoff.failed()
        if (this.isStopping) throw error
        if (backoff.isHopeless()) {
          throw new Error(
            `${message}\n${place.name} and those after it are as they were, the others are new. Reload again.`,
          )
        }
        this.complain(`${message}\n${place.name} is replaced in ${wait} ms.`)
        await pause(wait, undefined, { signal: this.stopped.signal }).catch(() => {})
      }
    }
  }

  /** All that exist, also those that are about to end. */
  get workers(): WorkerProcess[] {
    return [...this.all]
  }

  /** How a stop is done, as the newest settings say. */
  get stopLimits(): { delayMs: number; limitMs: number } {
    const { stop_delay: delayMs, stop_timeout: limitMs } = this.settings?.workers ?? { stop_delay: 0, stop_timeout: 0 }
    return { delayMs, limitMs }
  }

  private get log(): Log {
    return this.options.log()
  }

  /** Line by line: within one the log would escape what begins another. */
  private complain(text: string): void {
    for (const line of text.split("\n")) this.log.error(line)
  }

  get isStopping(): boolean {
    return this.stopped.signal.aborted
  }

  /** Lets them answer what they have, and what comes before the delay is over, and settles when all have ended. */
  async stop(delayMs: number, limitMs: number): Promise<void> {
    this.stopped.abort()
    clearInterval(this.timer)
    for (const worker of this.all) {
      if (worker.state === "starting") worker.kill("the server stopped")
      worker.drain({ delayMs, limitMs, hasSuccessor: false })
    }
    while (this.all.size > 0) await Promise.all(this.workers.map(({ ended }) => ended))
  }

  kill(): void {
    this.stopped.abort()
    for (const worker of this.all) worker.kill("the server stopped at once")
  }

  /** As many places of each kind as the settings say. */
  private resize(): void {
    for (const kind of this.options.kinds) {
      const there = this.places.filter((place) => place.kind === kind)
      const wanted = this.settings!.processes[kind]
      for (let i = there.length; i < wanted; i++) this.open(new Place(kind, `${kind} ${i + 1}`))
      for (const place of there.slice(wanted)) this.shut(place)
    }
  }

  private open(place: Place): void {
    this.places.push(place)
    void this.refill(place)
  }

  private shut(place: Place): void {
    this.places.splice(this.places.indexOf(place), 1)
    const { current } = place
    // Nobody takes its place, now or when its turn to be replaced comes.
    place.current = undefined
    this.drain(current)
  }

  /** Has a process that runs jobs alone, until it says that there are no more. */
  runAlone(): void {
    if (!this.isStopping && !this.places.some(({ kind }) => kind === "alone"))
      this.open(new Place("alone", "job alone"))
  }

  /** Lets go of a process that has nothing more to do. */
  dismiss(worker: WorkerProcess): void {
    const place = this.places.find(({ current }) => current === worker)
    if (place) this.shut(place)
  }

  /** Boots a process, until it answers. The first of a version sees to the migrations. */
  private async boot(place: Place, isFirst: boolean): Promise<WorkerProcess> {
    const { folder, userOf, heard, surroundings } = this.options
    const user = await userOf(this.settings)
    // A stop that came meanwhile did not see this one, and would not wait for it.
    if (this.isStopping) throw new BootFailure(`${place.name} was not begun: the server stops`, false)
    const blocked = (worker: WorkerProcess, report: Blocked) => this.complain(blockedText(worker, report))
    const worker = new WorkerProcess({ name: place.name, command: commandOf[place.kind], folder, user, heard, blocked })
    this.all.add(worker)
    void worker.ended.then(() => {
      this.all.delete(worker)
      this.options.ended(worker)
    })
    try {
      this.settings = await bootProcess(worker, {
        kind: place.kind,
        former: this.settings,
        user,
        userOf,
        surroundings,
        migrations: () => (isFirst ? this.options.migrations() : "done"),
        begins: (worker) => place.kind === "web" && this.options.begins(worker),
      })
      return worker
    } catch (error) {
      worker.kill("it could not begin")
      await worker.ended
      if (!(error instanceof WrongUser)) throw error
      this.settings = error.settings
      lendLog(this.settings, folder, await userOf(this.settings))
      return this.boot(place, isFirst)
    }
  }

  /** Puts a process into an empty place. */
  private async fill(place: Place, isFirst: boolean): Promise<void> {
    const worker = await this.boot(place, isFirst)
    if (this.places.includes(place)) this.settle(place, worker)
    // A reload has done away with the place meanwhile.
    else this.drain(worker)
  }

  /** Puts another process into the place, and lets the one that was there end: its successor answers first. */
  private async replace(place: Place, isFirst: boolean): Promise<void> {
    const former = place.current
    await this.fill(place, isFirst)
    this.drain(former)
  }

  private settle(place: Place, worker: WorkerProcess): void {
    place.take(worker, this.settings!.workers)
    const { soft_memory = Infinity } = this.settings!.workers
    const { memoryAtFirst = 0 } = worker
    if (memoryAtFirst > soft_memory) {
      this.log.warn(
        `${worker.name} uses ${megabytes(memoryAtFirst)} before it has done anything, more than workers.soft_memory, which ` +
          "therefore does nothing: set it to twice as much.",
      )
    }
    const ready = Date.now()
    void worker.ended.then((why) => {
      if (place.current !== worker || this.isStopping) return
      place.current = undefined
      place.lastEnd = why
      place.restarts++
      const isYoung = Date.now() - ready < youngMs
      if (!isYoung) place.backoff.succeeded()
      const wait = isYoung ? place.backoff.failed() : 0
      this.log.error(`${worker.name} (pid ${worker.pid}) ended: ${why}. Another one takes its place.`)
      if (this.places.includes(place)) void this.refill(place, wait)
    })
  }

  /** Fills an empty place, however often that fails. Between the attempts it is another's turn: a reload may know better. */
  private async refill(place: Place, wait = 0): Promise<void> {
    const isDone = () => place.current !== undefined || this.isStopping || !this.places.includes(place)
    for (let pauseMs = wait; ; ) {
      await this.wait(place, pauseMs)
      try {
        await place.inTurn(async () => {
          if (!isDone()) await this.fill(place, false)
        })
        return
      } catch (error) {
        if (isDone()) return
        pauseMs = place.backoff.failed()
        this.complain(`${(error as Error).message}\n${place.name} is tried again in ${pauseMs} ms.`)
      }
    }
  }

  private drain(worker: WorkerProcess | undefined): void {
    if (!worker) return
    worker.drain({ limitMs: this.settings!.workers.stop_timeout, hasSuccessor: true })
    this.options.drains(worker)
  }

  /** Replaces a process that could go on, when its time comes; until another one is ready it goes on. */
  recycle(worker: WorkerProcess, why: string): void {
    const place = this.places.find(({ current }) => current === worker)
    if (!place || place.isDue) return
    place.isDue = true
    void this.next(async () => {
      if (place.current !== worker || this.isStopping) return
      this.log.info(`${worker.name} (pid ${worker.pid}) is replaced: ${why}.`)
      await place.inTurn(() => this.replace(place, false))
      place.restarts++
      place.lastEnd = why
    }).catch((error: Error) => {
      place.isDue = false
      // A signal to the whole group reaches it first; then the stop ends its successor.
      if (this.isStopping) return
      this.log.error(`${worker.name} goes on, since its successor failed: ${error.message}`)
    })
  }

  /** Looks for processes that are silent, too large, too old, or have too many connections. */
  private look(): void {
    const now = performance.now()
    // In own time: a machine that was asleep, or a supervisor that was stopped, says nothing of its processes.
    const passed = Math.min(now - this.lastTick, 2 * tickMs)
    this.lastTick = now
    for (const worker of this.all) killHarmful(worker, passed, this.settings!.workers, this.log)
    const ready: WorkerProcess[] = []
    for (const place of this.places) {
      const { current, kind } = place
      if (current?.state !== "ready") continue
      const why = place.whyDue(this.settings!.workers)
      if (why) this.recycle(current, why)
      if (kind === "web") ready.push(current)
    }
    if (ready.length > 0) balance(ready)
  }

  /** Gives a process the sockets again that it let go of. */
  async reopen(worker: WorkerProcess): Promise<void> {
    if (worker.state !== "ready") return
    worker.listen((await this.options.surroundings(this.settings!)).handles)
  }

  private async wait(place: Place, ms: number): Promise<void> {
    place.isWaiting = true
    await pause(ms, undefined, { signal: this.stopped.signal }).catch(() => {})
    place.isWaiting = false
  }

  private next<T>(work: () => Promise<T>): Promise<T> {
    const done = this.turn.then(work)
    this.turn = done.catch(() => {})
    return done
  }
}
