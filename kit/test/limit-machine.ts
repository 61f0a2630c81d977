/** Processes of a machine that share limits, all in the process of a test: what they say goes through memory, in order. */
import type { TestContext } from "node:test"
import type { App } from "trestle"
import { openCapabilities } from "../src/capabilities.ts"
import { databaseSettings } from "../src/cli/database.ts"
import { loadConfig } from "../src/core/config/index.ts"
import type { LimitAnswer, LimitChannel, LimitQuestion } from "../src/core/limit-messages.ts"
import { Log } from "../src/core/log.ts"
import { openDatabase } from "../src/db/database.ts"
import { ledgersOf } from "../src/db/migrations.ts"
import { openRedis } from "../src/db/redis.ts"
import { createTestDatabase } from "../src/db/test-database.ts"
import { createServer } from "../src/server.ts"
import { LimitShares } from "../src/supervisor/limit-shares.ts"

/** Messages in one direction. Someone must carry each of them. */
export class Pipe<T> {
  private readonly waiting: string[] = []
  private readonly onMessage: () => void
  private hear: (message: T) => void

  /** @param onMessage is told that there is something to carry */
  constructor(hear: (message: T) => void, onMessage: () => void) {
    this.hear = hear
    this.onMessage = onMessage
  }

  get size(): number {
    return this.waiting.length
  }

  send(message: T): void {
    this.waiting.push(JSON.stringify(message))
    this.onMessage()
  }

  /** Carries the oldest message. */
  carry(): void {
    const text = this.waiting.shift()
    if (text !== undefined) this.hear(JSON.parse(text))
  }

  /** What was not carried is lost, and what comes. */
  cut(): void {
    this.waiting.length = 0
    this.hear = () => {}
  }
}

/** What lies between a process and the supervisor. */
export class Line implements LimitChannel {
  readonly id: number
  readonly windowsFrom: number
  readonly questions: Pipe<LimitQuestion>
  readonly answers: Pipe<LimitAnswer>
  private listener: (answer: LimitAnswer) => void = () => {}
  private lost: () => void = () => {}

  constructor(id: number, shares: LimitShares, onMessage: (pipe: Pipe<never>) => void) {
    this.id = id
    this.windowsFrom = shares.windowsFrom
    this.questions = new Pipe(
      (question) => shares.receive(id, question),
      () => onMessage(this.questions as Pipe<never>),
    )
    this.answers = new Pipe(
      (answer) => this.listener(answer),
      () => onMessage(this.answers as Pipe<never>),
    )
  }

  ask(question: LimitQuestion): void {
    this.questions.send(question)
  }

  onAnswer(listener: (answer: LimitAnswer) => void): void {
    this.listener = listener
  }

  onLost(listener: () => void): void {
    this.lost = listener
  }

  cut(): void {
    this.questions.cut()
    this.answers.cut()
  }

  /** The supervisor has ended. */
  lose(): void {
    this.cut()
    this.lost()
  }
}

/** A clock for all that reads the time, which can be set forward. */
export function jumpingClock(t: TestContext): { jump(ms: number): void } {
  let ahead = 0
  const now = performance.now.bind(performance)
  const hrtime = process.hrtime.bigint
  t.mock.method(performance, "now", () => now() + ahead)
  t.mock.method(process.hrtime, "bigint", () => hrtime() + BigInt(ahead) * 1_000_000n)
  return {
    jump(ms) {
      ahead += ms
    },
  }
}

/** A server that stands for a process. */
export interface ServerProcess {
  url: string
  line: Line
  /** What it logged, from INFO up. */
  log: string[]
  /** Stops carrying what it says and hears, as if it stood still; returns the function that goes on. */
  freeze(): () => void
  /** Lets it end as the supervisor does: no shares any more, then its last words. */
  drain(): Promise<void>
  /** Ends it without any. */
  kill(): void
}

export interface Machine {
  processes: ServerProcess[]
  shares: LimitShares
  /** Starts another process. */
  start(): Promise<ServerProcess>
}

/** Starts servers of an application that share limits through a supervisor, or through the Redis at `redisUrl`. */
export async function startMachine(
  t: TestContext,
  app: App,
  { limit, processes: count, redisUrl }: { limit: string; processes: number; redisUrl?: string },
): Promise<Machine> {
  const config = loadConfig({ folder: "/nonexistent", env: { RATE_LIMIT_LIMIT: limit }, sections: app.config! })
  const testDatabase = await createTestDatabase(await ledgersOf(app.folder))
  const database = openDatabase(testDatabase.address, databaseSettings(config), new Log("error"))
  const closers: (() => Promise<void>)[] = []
  t.after(async () => {
    await Promise.all(closers.map((close) => close()))
    await database.close()
    await testDatabase.drop()
  })
  const lines = new Map<number, Line>()
  const shares = new LimitShares({ rest: () => 0, send: (id, answer) => lines.get(id)?.answers.send(answer) })
  const frozen = new Map<Pipe<never>, number>()
  const carry = (pipe: Pipe<never>) => {
    if (frozen.has(pipe)) frozen.set(pipe, frozen.get(pipe)! + 1)
    else setImmediate(() => (frozen.has(pipe) ? carry(pipe) : pipe.carry()))
  }

  async function start(): Promise<ServerProcess> {
    const id = lines.size + 1
    const line = new Line(id, shares, carry)
    lines.set(id, line)
    shares.add(id)
    const logged: string[] = []
    const log = new Log("info", "server", (text) => void logged.push(text))
    const redis = redisUrl ? await openRedis(redisUrl, "test:", log) : undefined
    const capabilities = openCapabilities({ app, config, mode: "production", database, redis, log })
    const server = await createServer({
      app,
      config,
      mode: "production",
      database,
      capabilities,
      redis,
      log,
      ...(redis ? {} : { limits: line }),
    })
    let closed: Promise<void> | undefined
    const close = () => {
      closed ??= server.close().then(async () => {
        await capabilities.close()
        await redis?.close()
      })
      return closed
    }
    closers.push(close)
    await server.listen({ host: "127.0.0.1", port: 0 })
    await quiet(lines)
    const { port } = server.server.address() as { port: number }
    return {
      url: `http://127.0.0.1:${port}`,
      line,
      log: logged,
      freeze() {
        const pipes = [line.questions, line.answers] as Pipe<never>[]
        for (const pipe of pipes) frozen.set(pipe, 0)
        return () => {
          for (const pipe of pipes) {
            const count = frozen.get(pipe)!
            frozen.delete(pipe)
            for (let i = 0; i < count; i++) carry(pipe)
          }
        }
      },
      async drain() {
        shares.drain(id)
        await close()
        while (line.questions.size > 0) await new Promise(setImmediate)
        shares.remove(id)
        line.cut()
      },
      kill() {
        line.cut()
        shares.remove(id)
      },
    }
  }

  const processes: ServerProcess[] = []
  for (let i = 0; i < count; i++) processes.push(await start())
  return { processes, shares, start }
}

/** Settles when all has been carried, and what it gave rise to. */
async function quiet(lines: Map<number, Line>): Promise<void> {
  for (let turns = 0; turns < 3; turns++) {
    await new Promise(setImmediate)
    if ([...lines.values()].some(({ questions, answers }) => questions.size + answers.size > 0)) turns = -1
  }
}
