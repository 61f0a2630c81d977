// @together
/** Shares of limits under everything that can happen, in any order: processes and their supervisor with a clock of the test's. */
import assert from "node:assert/strict"
import { type TestContext, test } from "node:test"
import { Log } from "../src/core/log.ts"
import { SharedLimits } from "../src/http/shared-limits.ts"
import type { SharedWindowCounter } from "../src/http/shared-window-counter.ts"
import { LimitShares } from "../src/supervisor/limit-shares.ts"
import { fakeTimers } from "./fake-timers.ts"
import { Line } from "./limit-machine.ts"

const clients = ["a", "b", "c"]

/** A process that counts. */
interface Process {
  line: Line
  limits: SharedLimits
  counter: SharedWindowCounter
  isDraining: boolean
  /** Requests that wait. */
  waiting: number
  /** Until when it neither hears nor says anything. */
  frozenUntil: number
}

/** What became of the requests of a client in a window. */
interface Tally {
  admitted: number
  refused: number
}

class World {
  readonly log: string[] = []
  readonly tallies = new Map<string, Tally>()
  /** Windows in which a process was killed or stood still: of a limit something may be lost. */
  readonly rough = new Set<number>()
  readonly processes: Process[] = []
  readonly shares: LimitShares
  private now = 1_000_000
  private lastId = 0
  private readonly tick: () => void
  readonly limit: number
  private readonly windowMs: number

  constructor(t: TestContext, { limit, windowMs, restMs }: { limit: number; windowMs: number; restMs: number }) {
    this.limit = limit
    this.windowMs = windowMs
    this.replaceClocks(t)
    this.tick = fakeTimers(t, () => this.now)
    const lineOf = (id: number) => this.processes.find(({ line }) => line.id === id)?.line
    this.shares = new LimitShares({ rest: () => restMs, send: (id, answer) => lineOf(id)?.answers.send(answer) })
  }

  /** Without node:test's mocks, which remember each call. */
  private replaceClocks(t: TestContext): void {
    const { now } = performance
    const { bigint } = process.hrtime
    performance.now = () => this.now
    process.hrtime.bigint = () => BigInt(Math.round(this.now * 1e6))
    t.after(() => {
      performance.now = now
      process.hrtime.bigint = bigint
    })
  }

  get window(): number {
    return this.windowAt(this.now)
  }

  private windowAt(at: number): number {
    return Math.floor((at - this.shares.windowsFrom) / this.windowMs)
  }

  add(): void {
    const id = ++this.lastId
    const line = new Line(id, this.shares, () => {})
    const isThere = () => this.processes.some((process) => process.line === line)
    const log = new Log("warn", "server", (text) => void (isThere() && this.log.push(text)))
    const limits = new SharedLimits(line, { maxClients: 1000, log })
    const counter = limits.counter("default", { limit: this.limit, windowMs: this.windowMs })
    this.processes.push({ line, limits, counter, isDraining: false, waiting: 0, frozenUntil: 0 })
    this.shares.add(id)
  }

  drain(process: Process): void {
    process.isDraining = true
    this.shares.drain(process.line.id)
  }

  /** It has answered all, says its last words, and is gone. */
  end(process: Process): void {
    void process.limits.giveBack()
    while (process.line.questions.size > 0) process.line.questions.carry()
    this.remove(process)
  }

  kill(process: Process, hasSaidAll: boolean): void {
    this.rough.add(this.window)
    // Clocks of processes may differ by as much as a window's last millisecond: then its share of the next one is lost too.
    this.rough.add(this.windowAt(this.now + 1))
    while (hasSaidAll && process.line.questions.size > 0) process.line.questions.carry()
    this.remove(process)
  }

  /** Not for so long that it would take the supervisor for silent: a real one would not count that time. */
  freeze(process: Process, ms: number): void {
    process.frozenUntil = this.now + ms
    for (let at = this.now; at < this.now + ms + this.windowMs; at += this.windowMs) {
      this.rough.add(this.windowAt(at))
    }
  }

  isFrozen({ frozenUntil }: Process): boolean {
    return this.now < frozenUntil
  }

  request(process: Process, client: string): void {
    const tell = (count: number, endsAt: number) => {
      const window = Math.round((endsAt - this.shares.windowsFrom) / this.windowMs) - 1
      const tally = this.tally(client, window)
      if (count <= this.limit) tally.admitted++
      else tally.refused++
    }
    const counted = process.counter.count(client, this.now)
    if (typeof counted === "number") {
      tell(counted, process.counter.endsAt)
      return
    }
    process.waiting++
    void counted.then(({ count, endsAt }) => {
      // What a process has admitted that was killed, nobody has seen.
      if (!this.processes.includes(process)) return
      process.waiting--
      tell(count, endsAt)
    })
  }

  /** Carries the messages of all who can hear and speak, until there are none. */
  async carryAll(): Promise<void> {
    for (let isDone = false; !isDone; ) {
      isDone = true
      await this.pass(0)
      for (const process of this.processes) {
        for (const pipe of [process.line.questions, process.line.answers]) {
          if (pipe.size === 0 || this.isFrozen(process)) continue
          pipe.carry()
          isDone = false
        }
      }
    }
  }

  async pass(ms: number): Promise<void> {
    this.now += ms
    this.tick()
    // What waits for promises.
    for (let i = 0; i < 4; i++) await Promise.resolve()
  }

  private tally(client: string, window: number): Tally {
    const key = `${client} ${window}`
    if (!this.tallies.has(key)) this.tallies.set(key, { admitted: 0, refused: 0 })
    return this.tallies.get(key)!
  }

  private remove(process: Process): void {
    this.processes.splice(this.processes.indexOf(process), 1)
    process.line.cut()
    this.shares.remove(process.line.id)
  }
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** Lets everything happen for some windows. */
async function run(t: TestContext, seed: number, { isRough }: { isRough: boolean }): Promise<World> {
  const random = randomFrom(seed)
  const below = (max: number) => Math.floor(random() * max)
  const oneOf = <T>(list: T[]): T => list[below(list.length)]!
  const limit = oneOf([1, 3, 5, 7, 20, 64, 100])
  const world = new World(t, { limit, windowMs: oneOf([250, 600, 2000]), restMs: oneOf([0, 10, 35]) })
  for (let count = 1 + below(6); count > 0; count--) world.add()
  for (let step = 0; step < 3000; step++) {
    const awake = world.processes.filter((process) => !world.isFrozen(process))
    if (awake.length > 0) {
      for (let i = below(4); i > 0; i--) world.request(oneOf(awake), oneOf(clients))
      // Each message takes its own time.
      for (let i = below(6); i > 0; i--) {
        const { questions, answers } = oneOf(awake).line
        oneOf<{ carry(): void }>([questions, answers]).carry()
      }
      const chance = random()
      const chosen = oneOf(awake)
      if (chance < 0.01) world.add()
      else if (chance < 0.02 && world.processes.length > 1) world.drain(chosen)
      else if (chance < 0.04 && chosen.isDraining) {
        await world.carryAll()
        if (chosen.waiting === 0) world.end(chosen)
      } else if (isRough && chance < 0.041) world.kill(chosen, random() < 0.5)
      else if (isRough && chance < 0.042) world.freeze(chosen, 200 + below(300))
    }
    if (world.processes.length === 0) world.add()
    await world.pass(below(4))
    if (random() < 0.02) {
      await world.carryAll()
      await world.pass(below(100))
      await world.carryAll()
    }
  }
  // Whoever waits gets an answer.
  for (let i = 0; i < 100; i++) {
    await world.pass(10)
    await world.carryAll()
  }
  assert.ok(world.processes.every(({ waiting }) => waiting === 0))
  for (const [key, { admitted }] of world.tallies) assert.ok(admitted <= limit, `${key}: ${admitted} of ${limit}`)
  return world
}

const seeds = process.env.SEED ? [Number(process.env.SEED)] : Array.from({ length: 40 }, (_, i) => i + 1)

for (const seed of seeds) {
  for (const isRough of [true, false]) {
    const what = isRough ? ", whatever happens to processes" : ""
    test(`a client gets all of its limit and never more${what} (SEED=${seed})`, async (t) => {
      const { log, tallies, limit, rough } = await run(t, seed, { isRough })
      assert.deepEqual(log, [])
      assert.ok(tallies.size > 3)
      for (const [key, { admitted, refused }] of tallies) {
        if (refused > 0 && !rough.has(Number(key.split(" ")[1]))) assert.equal(admitted, limit, key)
      }
    })
  }
}
