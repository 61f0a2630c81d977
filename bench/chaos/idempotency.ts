/** A request with an Idempotency-Key is done once, however often it is sent, and though its process dies before it can answer. */
import { createHash } from "node:crypto"
import { setTimeout as pause } from "node:timers/promises"
import { type Chaos, count, type Finding } from "./findings.ts"
import type { Server } from "./site.ts"

const token = "of the chaos"
/** Numbers that no other trial keeps. */
const from = 1_000_000
/** A process that is killed within its first second is not replaced at once. */
const killEveryMs = 350

export async function* idempotency({ project, isShort }: Chaos): AsyncGenerator<Finding> {
  const hash = createHash("sha256").update(token).digest("hex")
  await using server = await project.start({ WORKERS_WEB: "4", API_TOKEN_HASH: hash, DATABASE_CONNECT_TIMEOUT: "60 s" })
  yield await manyAtOnce(server)
  await server.allReady()
  yield await killedBeforeTheyAnswer(server, isShort ? 10 : 100)
}

async function manyAtOnce(server: Server): Promise<Finding> {
  const [requests, keys] = [1000, 100]
  const client = new Client(server)
  await Promise.all(Array.from({ length: requests }, (_, i) => client.ask(from + (i % keys))))
  const { rows, twice } = await kept(server, from, keys)
  return {
    promise: `${count(requests, "POST")} at once with ${keys} keys do ${keys} things, and each key has one answer`,
    figure: `${count(rows, "row")}, ${twice} of them twice; ${client.differing} keys with several answers; ${client.said}`,
    isKept: rows === keys && twice === 0 && client.differing === 0 && client.answered === requests,
  }
}

async function killedBeforeTheyAnswer(server: Server, kills: number): Promise<Finding> {
  const [first, requests] = [from + 1000, kills * 10]
  const client = new Client(server)
  const numbers = Array.from({ length: requests }, (_, i) => first + i)
  const calm = numbers.filter((n) => n % 10 !== 0)
  const deadly = numbers.filter((n) => n % 10 === 0)
  const ends: Promise<void>[] = []
  for (const n of deadly) {
    ends.push(client.ask(n, true), ...calm.splice(0, 9).map((n) => client.ask(n)))
    await pause(killEveryMs)
  }
  await Promise.all(ends)
  // And once more, when all is over.
  await Promise.all(numbers.map((n) => client.ask(n, n % 10 === 0)))
  const { rows, twice } = await kept(server, first, requests)
  return {
    promise: `kill -9 between commit and answer, ${kills} times in ${count(requests, "POST")}: each is done once, and answered to who asks again`,
    figure:
      `${count(rows, "row")}, ${twice} of them twice; ${client.differing} keys with several answers; ` +
      `${client.answered - requests} of ${requests} answered when asked again in the end; ${client.said}`,
    isKept:
      rows === requests &&
      twice === 0 &&
      client.differing === 0 &&
      client.answered === 2 * requests &&
      client.cut >= kills,
  }
}

/** Asks until it is answered, as its clients do that got no answer. */
class Client {
  private readonly server: Server
  private readonly answers = new Map<number, Set<string>>()
  private readonly others = new Map<number, number>()
  answered = 0
  cut = 0
  private replayed = 0

  constructor(server: Server) {
    this.server = server
  }

  /** How many keys had more than one answer. */
  get differing(): number {
    return [...this.answers.values()].filter(({ size }) => size > 1).length
  }

  get said(): string {
    const others = [...this.others].map(([status, times]) => `, ${times} times ${status}`).join("")
    return `${this.answered} answers, ${this.replayed} of them replayed, ${count(this.cut, "connection")} cut${others}`
  }

  async ask(n: number, dies = false): Promise<void> {
    const headers = { "x-api-key": token, "idempotency-key": `number-${n}`, "content-type": "application/json" }
    const body = JSON.stringify({ n, dies })
    for (;;) {
      try {
        const response = await fetch(`${this.server.url}/api/chaos/once`, { method: "POST", headers, body })
        const answer = await response.text()
        if (response.status === 200) {
          this.answered++
          if (response.headers.has("idempotency-replayed")) this.replayed++
          this.answers.set(n, (this.answers.get(n) ?? new Set()).add(answer))
          return
        }
        this.others.set(response.status, (this.others.get(response.status) ?? 0) + 1)
      } catch {
        this.cut++
      }
      await pause(50)
    }
  }
}

/** How many rows there are of these numbers, and how many numbers are there more than once. */
async function kept(server: Server, first: number, numbers: number): Promise<{ rows: number; twice: number }> {
  const database = await server.database()
  const { rows } = await database.query("select count(*)::int as n from numbers where n >= $1 and n < $2 group by n", [
    first,
    first + numbers,
  ])
  await database.end()
  return { rows: rows.reduce((sum, { n }) => sum + n, 0), twice: rows.filter(({ n }) => n > 1).length }
}
