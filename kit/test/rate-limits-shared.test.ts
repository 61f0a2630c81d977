// @together
/** Limits that hold over processes and machines. Windows are days here: none ends by itself in the midst of a test. */
import assert from "node:assert/strict"
import { type TestContext, test } from "node:test"
import { type Routes, Type } from "trestle"
import { currentScope } from "../src/core/scope.ts"
import { until } from "./embedded/scratch.ts"
import { jumpingClock, type Machine, type ServerProcess, startMachine } from "./limit-machine.ts"
import { ask } from "./raw-request.ts"
import { noRedis, startRedis } from "./redis.ts"
import { sampleApp } from "./sample/app.ts"

const day = 86_400_000

const routes: Routes = (api) => {
  const schema = { response: { 200: Type.Object({ scope: Type.Boolean() }) } }
  api.get("/", { role: "visitor", schema }, async (request) => ({ scope: currentScope() === request.work }))
}
const app = sampleApp(routes)

/** Asks `count` times from an address, of one server after the other as `choose` says, so many at once. */
async function flood(
  processes: ServerProcess[],
  { from, count, atOnce = 10, choose = (i) => i }: Flood,
): Promise<{ admitted: number; refused: number }> {
  const statuses: number[] = []
  for (let i = 0; i < count; i += atOnce) {
    const batch = Array.from({ length: Math.min(atOnce, count - i) }, async (_, k) => {
      const { url } = processes[choose(i + k) % processes.length]!
      statuses.push((await ask(`${url}/api/sample`, { from })).status)
    })
    await Promise.all(batch)
  }
  const [admitted, refused] = [200, 429].map((status) => statuses.filter((one) => one === status).length)
  assert.equal(admitted! + refused!, count)
  return { admitted: admitted!, refused: refused! }
}

interface Flood {
  from: string
  count: number
  atOnce?: number
  choose?: (i: number) => number
}

/** Ways of spreading requests over processes. */
const ways: Record<string, Omit<Flood, "from">> = {
  "over all processes": { count: 130 },
  "one after the other": { count: 130, atOnce: 1 },
  "to one process": { count: 130, choose: () => 2 },
  "moving from one to the next": { count: 130, atOnce: 5, choose: (i) => Math.floor(i / 30) },
  "to all processes at once": { count: 160, atOnce: 160 },
}

/** In the first window no process has a share, since it had begun; in the second all have. */
for (const window of ["first", "second"]) {
  test(`of a limit of 100 over 4 processes a client gets exactly 100 in their ${window} window`, async (t) => {
    const clock = jumpingClock(t)
    const { processes } = await startMachine(t, app, { limit: "100/day", processes: 4 })
    if (window === "second") clock.jump(day)
    await Promise.all(
      Object.entries(ways).map(async ([way, flooding], i) => {
        const { admitted } = await flood(processes, { ...flooding, from: `127.0.1.${i + 1}` })
        assert.equal(admitted, 100, way)
      }),
    )
    // The next window is fresh, also for those who were refused.
    clock.jump(day)
    const from = "127.0.1.1"
    assert.deepEqual(await flood(processes, { from, count: 130 }), { admitted: 100, refused: 30 })
    assert.ok(processes.every(({ log }) => !log.join("").includes("limits")))
  })
}

test("a limit that is smaller than the number of processes holds too", async (t) => {
  const clock = jumpingClock(t)
  const { processes } = await startMachine(t, app, { limit: "5/day", processes: 8 })
  for (let window = 0; window < 3; window++) {
    assert.equal((await flood(processes, { from: "127.0.2.1", count: 24, atOnce: 24 })).admitted, 5)
    assert.equal((await flood(processes, { from: "127.0.2.2", count: 24, atOnce: 1 })).admitted, 5)
    assert.equal((await flood(processes, { from: "127.0.2.3", count: 8, choose: () => 3 })).admitted, 5)
    clock.jump(day)
  }
})

test("whoever is below the share of a process costs no message", async (t) => {
  const clock = jumpingClock(t)
  const { processes } = await startMachine(t, app, { limit: "100/day", processes: 4 })
  await flood(processes, { from: "127.0.3.1", count: 4 })
  clock.jump(day)
  const said = processes.map(({ line }) => t.mock.method(line.questions, "send"))
  // One of 2 · 4 shares of 100.
  await flood(processes, { from: "127.0.3.1", count: 4 * 12 })
  assert.deepEqual(
    said.map(({ mock }) => mock.callCount()),
    [0, 0, 0, 0],
  )
  await flood(processes, { from: "127.0.3.1", count: 200 })
  const before = said.map(({ mock }) => mock.callCount())
  // Neither does who is over the limit.
  await flood(processes, { from: "127.0.3.1", count: 40 })
  assert.deepEqual(
    said.map(({ mock }) => mock.callCount()),
    before,
  )
})

test("what remains only goes down on one process, and is 0 for who is refused", async (t) => {
  const clock = jumpingClock(t)
  const { processes } = await startMachine(t, app, { limit: "20/day", processes: 3 })
  clock.jump(day)
  const last = processes.map(() => 20)
  for (let i = 0; i < 45; i++) {
    const { status, headers } = await ask(`${processes[i % 3]!.url}/api/sample`)
    const remaining = Number(headers["x-ratelimit-remaining"])
    assert.ok(remaining <= last[i % 3]! && remaining >= 0, `${remaining} after ${last[i % 3]}`)
    assert.equal(status, i < 20 ? 200 : 429)
    if (status === 429) assert.equal(remaining, 0)
    assert.match(String(headers["x-ratelimit-reset"]), /^\d{10,}$/)
    assert.match(headers.ratelimit as string, new RegExp(`^"default";r=${remaining};t=\\d+$`))
    last[i % 3] = remaining
  }
})

test("a request that waited for its count is still the one that its work belongs to", async (t) => {
  const { processes } = await startMachine(t, app, { limit: "100/day", processes: 2 })
  const answers = await Promise.all([1, 2, 3].map(() => ask(`${processes[0]!.url}/api/sample`)))
  assert.deepEqual(
    answers.map(({ body }) => JSON.parse(body)),
    Array(3).fill({ scope: true }),
  )
})

test("a process that is drained and replaced costs a client nothing of its limit, and gives it nothing", async (t) => {
  const clock = jumpingClock(t)
  const machine = await startMachine(t, app, { limit: "100/day", processes: 4 })
  clock.jump(day)
  const { processes } = machine
  let admitted = 0
  const some = async (count: number, atOnce = 10) => {
    admitted += (await flood(processes, { from: "127.0.4.1", count, atOnce })).admitted
  }
  for (let i = 0; i < 4; i++) {
    await some(16)
    const former = processes.shift()!
    // It still has connections when its successor answers.
    processes.push(await machine.start())
    admitted += (await flood([former], { from: "127.0.4.1", count: 3 })).admitted
    await former.drain()
  }
  assert.equal(admitted, 4 * 19)
  await some(60)
  assert.equal(admitted, 100)
  // Who comes for the first time has all of it.
  assert.equal((await flood(processes, { from: "127.0.4.2", count: 130 })).admitted, 100)
  clock.jump(day)
  assert.equal((await flood(processes, { from: "127.0.4.1", count: 130 })).admitted, 100)
})

test("processes that are killed take what they had with them, and at most half of a limit", async (t) => {
  const clock = jumpingClock(t)
  const machine = await startMachine(t, app, { limit: "100/day", processes: 4 })
  clock.jump(day)
  const { processes } = machine
  let { admitted } = await flood(processes, { from: "127.0.5.1", count: 40 })
  for (let i = 0; i < 8; i++) {
    processes.shift()!.kill()
    processes.push(await machine.start())
    admitted += (await flood(processes, { from: "127.0.5.1", count: 4 })).admitted
  }
  admitted += (await flood(processes, { from: "127.0.5.1", count: 100 })).admitted
  assert.ok(admitted >= 40 && admitted <= 100, String(admitted))
  const fresh = await flood(processes, { from: "127.0.5.2", count: 130 })
  assert.ok(fresh.admitted >= 50 && fresh.admitted <= 100, String(fresh.admitted))
  clock.jump(day)
  assert.equal((await flood(processes, { from: "127.0.5.1", count: 130 })).admitted, 100)
})

test("a process that stands still holds nobody up for long, and gives back what it has when it goes on", async (t) => {
  const clock = jumpingClock(t)
  const { processes } = await startMachine(t, app, { limit: "100/day", processes: 4 })
  clock.jump(day)
  const thaw = processes[3]!.freeze()
  const others = processes.slice(0, 3)
  const { admitted } = await flood(others, { from: "127.0.6.1", count: 120, atOnce: 20 })
  assert.equal(admitted, 100 - 12)
  thaw()
  await until(async () => (await flood(others, { from: "127.0.6.1", count: 1 })).admitted === 1)
  assert.equal(admitted + 1 + (await flood(processes, { from: "127.0.6.1", count: 60 })).admitted, 100)
  assert.ok(processes.every(({ log }) => !log.join("").includes("limits")))
})

/** Whom one process admits that has nobody to ask: all of the limit, and no more. */
async function admitsAlone({ processes }: Machine, from: string) {
  assert.deepEqual(await flood([processes[0]!], { from, count: 30 }), { admitted: 20, refused: 10 })
}

test("when the supervisor has ended each process limits by itself", async (t) => {
  const clock = jumpingClock(t)
  const machine = await startMachine(t, app, { limit: "20/day", processes: 2 })
  clock.jump(day)
  const [process] = machine.processes
  const early = await flood([process!], { from: "127.0.7.1", count: 8 })
  process!.line.lose()
  assert.equal(early.admitted + (await flood([process!], { from: "127.0.7.1", count: 30 })).admitted, 20)
  await admitsAlone(machine, "127.0.7.2")
  clock.jump(day)
  await admitsAlone(machine, "127.0.7.1")
  assert.equal(process!.log.filter((line) => line.includes("limits: The supervisor ended")).length, 1)
})

test("when the supervisor is silent each process limits by itself until it answers", async (t) => {
  const clock = jumpingClock(t)
  const machine = await startMachine(t, app, { limit: "20/day", processes: 2 })
  clock.jump(day)
  const [process] = machine.processes
  const thaw = process!.freeze()
  const began = Date.now()
  await admitsAlone(machine, "127.0.8.1")
  assert.ok(Date.now() - began < 20_000)
  await admitsAlone(machine, "127.0.8.2")
  assert.equal(process!.log.filter((line) => line.includes("limits: The supervisor does not answer")).length, 1)
  thaw()
  await until(() => process!.log.some((line) => line.includes("limits: The supervisor answers again")))
  assert.equal((await flood(machine.processes, { from: "127.0.8.3", count: 30 })).admitted, 20)
  clock.jump(day)
  assert.equal((await flood(machine.processes, { from: "127.0.8.1", count: 30 })).admitted, 20)
})

const skip = { skip: noRedis }

async function withRedis(t: TestContext, limit: string) {
  const redis = await startRedis(t)
  const machine = await startMachine(t, app, { limit, processes: 2, redisUrl: redis.url })
  return { redis, ...machine }
}

test("with Redis a limit holds over machines, and whoever is over it costs Redis nothing", skip, async (t) => {
  const { processes } = await withRedis(t, "100/day")
  assert.deepEqual(await flood(processes, { from: "127.0.9.1", count: 160, atOnce: 160 }), {
    admitted: 100,
    refused: 60,
  })
  assert.equal((await flood(processes, { from: "127.0.9.2", count: 130 })).admitted, 100)
  const last = await ask(`${processes[0]!.url}/api/sample`, { from: "127.0.9.3" })
  assert.equal(last.headers["x-ratelimit-remaining"], "99")
  assert.match(last.headers.ratelimit as string, /^"default";r=99;t=86(400|39\d)$/)
  assert.deepEqual(JSON.parse(last.body), { scope: true })
  const next = await ask(`${processes[1]!.url}/api/sample`, { from: "127.0.9.3" })
  assert.equal(next.headers["x-ratelimit-remaining"], "98")
})
