// @together
/** Background jobs as an application sends and tests them. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { cron, defineApp, type Job, job, sql, Type } from "trestle"
import { Postponed } from "../src/jobs/attempt.ts"
import { ticksOf } from "../src/jobs/define.ts"
import type { AnyJob } from "../src/jobs/job.ts"
import { testApp } from "../src/testing.ts"
import { until } from "./embedded/scratch.ts"

/** An application of these jobs, without routes. */
const appOf = (...jobs: AnyJob[]) => defineApp({ name: "sample", routes: {}, jobs, folder: import.meta.dirname })

/** A job that only keeps what it was told. */
function keeping(options: Partial<Parameters<typeof job>[1]> = {}) {
  const told: number[] = []
  const keep = job(
    "keep",
    { ...options, data: Type.Object({ n: Type.Integer() }) },
    ({ data }) => void told.push(data.n),
  )
  return { keep, told }
}

test("a job that was sent runs once, with what it was told", async (t) => {
  const { keep, told } = keeping()
  const { jobs } = await testApp(t, appOf(keep))
  const id = await jobs.send(keep, { n: 7 })
  assert.deepEqual(await jobs.sent(keep), [{ name: "keep", data: { n: 7 } }])
  assert.equal((await jobs.find(id))?.phase, "waiting")
  assert.deepEqual(await jobs.run(), [{ name: "keep", data: { n: 7 }, error: undefined }])
  assert.deepEqual(await jobs.run(), [])
  assert.deepEqual(told, [7])
  const { phase, attempts, ended } = (await jobs.find(id))!
  assert.deepEqual({ phase, attempts }, { phase: "done", attempts: 1 })
  assert.ok(ended)
})

test("a job is committed with its transaction, or not at all", async (t) => {
  const { keep, told } = keeping()
  const { jobs, db } = await testApp(t, appOf(keep))
  const both = [...Array(20).keys()].map((n) =>
    db
      .transaction()
      .execute(async (tx) => {
        await jobs.send(keep, { n }, { tx })
        if (n % 2) throw new Error("rolled back")
      })
      .catch((error: Error) => assert.equal(error.message, "rolled back")),
  )
  await Promise.all(both)
  await jobs.run()
  assert.deepEqual(
    told.sort((a, b) => a - b),
    [0, 2, 4, 6, 8, 10, 12, 14, 16, 18],
  )
})

test("data that the job does not take is refused when it is sent", async (t) => {
  const { keep } = keeping()
  const { jobs } = await testApp(t, appOf(keep))
  await assert.rejects(
    // @ts-expect-error: the types refuse it too
    jobs.send(keep, { n: "seven" }),
    /The data of the job "keep" is not what it takes: \/n must be integer\./,
  )
  const stranger = job("keeps", { data: Type.Object({}) }, () => {})
  await assert.rejects(jobs.send(stranger, {}), /"keeps" is not in defineApp\({ jobs }\).* Did you mean "keep"\?/)
})

test("a text that PostgreSQL does not keep is refused before it spoils a transaction; a large one is kept", async (t) => {
  const tell = job("tell", { data: Type.Object({ text: Type.String() }) }, () => {})
  const { jobs, db } = await testApp(t, appOf(tell))
  await db.transaction().execute(async (tx) => {
    for (const text of ["a\0", "\\\0", "half \ud83d"]) {
      await assert.rejects(
        jobs.send(tell, { text }, { tx }),
        /NUL or half of a character, which PostgreSQL does not keep/,
      )
    }
    await jobs.send(tell, { text: "\\u0000 \u{1f600} ".padEnd(1_000_000, "\n") }, { tx })
  })
  assert.equal((await jobs.run()).length, 1)
})

test("data of another version of the job fails the attempt", async (t) => {
  const { keep, told } = keeping()
  const { jobs, db } = await testApp(t, appOf(keep))
  const id = await jobs.send(keep, { n: 1 })

  await sql`update trestle_jobs.job set data = '{"number": 1}' where id = ${id}`.execute(db)
  const [ran] = await jobs.run()
  assert.match(String(ran?.error), /not what this version of the job takes: \/ must have required properties n/)
  assert.deepEqual(told, [])
})

test("an error that is final makes a dead letter at once", async (t) => {
  const never = job("never", { data: Type.Object({}) }, () => {
    throw Object.assign(new Error("There is nobody of that name."), { isFinal: true })
  })
  const { jobs, log } = await testApp(t, appOf(never))
  const id = await jobs.send(never, {})
  assert.equal((await jobs.run({ early: true })).length, 1)
  const { phase, attempts, error } = (await jobs.find(id))!
  assert.deepEqual({ phase, attempts, error }, { phase: "dead", attempts: 1, error: "There is nobody of that name." })
  assert.match(log.join(""), /\(ERROR\) job never: Attempt 1 failed after \d+ ms; it was the last: a dead letter\./)
  assert.equal(await jobs.retry(id), true)
  assert.equal((await jobs.run({ early: true })).length, 1)
})

test("an attempt that fails is tried again, and the last one makes a dead letter that can be sent again", async (t) => {
  let isBroken = true
  const numbers: number[] = []
  const shaky = job("shaky", { data: Type.Object({}), retries: 2 }, ({ attempt }) => {
    numbers.push(attempt)
    if (isBroken) throw new Error("It is broken, password=hunter2.")
  })
  const { jobs, log } = await testApp(t, appOf(shaky))
  const id = await jobs.send(shaky, {})
  assert.equal((await jobs.run()).length, 1)
  assert.equal((await jobs.run()).length, 0)
  const waiting = (await jobs.find(id))!
  assert.equal(waiting.phase, "waiting")
  assert.equal(waiting.error, "It is broken, password=***")
  assert.ok(Date.parse(waiting.due) > Date.parse(waiting.started!) + 4000)

  assert.equal((await jobs.run({ early: true })).length, 2)
  assert.deepEqual(numbers, [1, 2, 3])
  const dead = (await jobs.find(id))!
  assert.deepEqual([dead.phase, dead.attempts, dead.error], ["dead", 3, "It is broken, password=***"])
  assert.match(log.join(""), /\(ERROR\) job shaky: Attempt 3 failed after \d+ ms; it was the last: a dead letter\./)
  assert.ok(!log.join("").includes("hunter2"))

  isBroken = false
  assert.equal(await jobs.retry(id), true)
  assert.equal(await jobs.retry(id), false)
  await jobs.run()
  assert.deepEqual(numbers, [1, 2, 3, 1])
  assert.equal((await jobs.find(id))?.phase, "done")
})

test("the waits between attempts double up to the longest that a job allows", async (t) => {
  const options = { data: Type.Object({}), retries: 6, retryDelay: "10 seconds", longestRetryDelay: "1 minute" }
  const broken = job("broken", options, () => {
    throw new Error("It is broken.")
  })
  const { jobs, db } = await testApp(t, appOf(broken))
  await jobs.send(broken, {})
  const waits: number[] = []
  for (let attempt = 1; attempt <= 6; attempt++) {
    await jobs.run()
    const { rows } = await sql<{ wait: number }>`
      update trestle_jobs.job set start_after = now() where state = 'retry'
      returning (select extract(epoch from start_after - now())::float8 from trestle_jobs.job where state = 'retry') as wait
    `.execute(db)
    waits.push(rows[0]!.wait)
  }
  assert.ok(Math.max(...waits) <= 60, waits.join(", "))
  // Up to twice as long by chance, less what the machine took to look.
  assert.ok(
    waits.slice(3).every((wait) => wait > 20),
    waits.join(", "),
  )
  const wrong = { ...options, longestRetryDelay: "8 days" }
  assert.throws(() => job("broken", wrong, () => {}), /longestRetryDelay "8 days": it is 1 second to 7 days/)
})

test("a job that is postponed comes again later, and has lost no attempt", async (t) => {
  const numbers: number[] = []
  const early = job("early", { data: Type.Object({}), retries: 0 }, ({ attempt }) => {
    numbers.push(attempt)
    if (numbers.length < 3) throw new Postponed("It is too early.", 60_000)
  })
  const { jobs, log } = await testApp(t, appOf(early))
  const id = await jobs.send(early, {})
  assert.deepEqual(await jobs.run(), [{ name: "early", data: {}, error: undefined }])
  const { phase, attempts, due, created, error } = (await jobs.find(id))!
  assert.deepEqual({ phase, attempts, error }, { phase: "waiting", attempts: 0, error: null })
  assert.ok(Date.parse(due) >= Date.parse(created) + 60_000)
  await jobs.run({ early: true })
  assert.deepEqual(numbers, [1, 1, 1])
  assert.equal((await jobs.find(id))!.phase, "done")
  assert.deepEqual(log, [])
})

test("a job may be delayed, and goes before others by its priority", async (t) => {
  const { keep, told } = keeping({ priority: 5 })
  const { jobs } = await testApp(t, appOf(keep))
  await jobs.send(keep, { n: 1 }, { delay: "1 hour" })
  await jobs.send(keep, { n: 2 }, { delay: new Date(Date.now() + 60_000) })
  await jobs.send(keep, { n: 3 })
  await jobs.send(keep, { n: 4 }, { priority: 6 })
  await jobs.send(keep, { n: 5 }, { delay: new Date(0), priority: 4 })
  await jobs.run()
  assert.deepEqual(told, [4, 3, 5])
  await jobs.run({ early: true })
  assert.deepEqual(told.slice(3).sort(), [1, 2])
  await assert.rejects(jobs.send(keep, { n: 6 }, { delay: "soon" }), /a duration with its unit/)
  await assert.rejects(jobs.send(keep, { n: 6 }, { priority: 1001 }), /from -1000 to 1000, not 1001/)
})

test("of those with the same key one is sent within the time, whoever sends it", async (t) => {
  const { keep, told } = keeping()
  const { jobs, db } = await testApp(t, appOf(keep))
  const unique = { key: "one", within: "1 hour" }
  const ids = await Promise.all([...Array(20).keys()].map((n) => jobs.send(keep, { n }, { unique })))
  assert.equal(new Set(ids).size, 1)
  await jobs.send(keep, { n: 100 }, { unique: { key: "another", within: "1 hour" } })
  await db
    .transaction()
    .execute(async (tx) => {
      await jobs.send(keep, { n: 101 }, { tx, unique: { key: "rolled back", within: "1 hour" } })
      throw new Error("rolled back")
    })
    .catch(() => {})
  await jobs.send(keep, { n: 102 }, { unique: { key: "rolled back", within: "1 hour" } })
  await jobs.run()
  assert.equal(told.length, 3)
  assert.deepEqual(told.slice(1), [100, 102])
  await jobs.send(keep, { n: 103 }, { unique: { key: "short", within: "1 ms" } })
  await new Promise((resolve) => setTimeout(resolve, 5))
  await jobs.send(keep, { n: 104 }, { unique: { key: "short", within: "1 ms" } })
  assert.equal((await jobs.sent()).length, 2)
})

test("a job that was cancelled does not begin", async (t) => {
  const { keep, told } = keeping()
  const { jobs } = await testApp(t, appOf(keep))
  const id = await jobs.send(keep, { n: 1 })
  assert.equal(await jobs.cancel(id), true)
  assert.equal(await jobs.cancel(id), false)
  assert.equal(await jobs.cancel("nonsense"), false)
  assert.equal(await jobs.cancel("00000000-0000-4000-8000-000000000000"), false)
  await jobs.run()
  assert.deepEqual(told, [])
  assert.equal((await jobs.find(id))?.phase, "cancelled")
})

test("an attempt over its time has failed, its signal aborts, and its query is cancelled", async (t) => {
  const reasons: unknown[] = []

  const slow = job("slow", { data: Type.Object({}), timeout: "100 ms", retries: 0 }, async ({ db, signal }) => {
    signal.addEventListener("abort", () => reasons.push(signal.reason.message))
    await sql`select pg_sleep(3600)`.execute(db).catch((error: Error) => reasons.push(error.message))
    await sql`select 1`.execute(db).catch((error: Error) => reasons.push(error.message))
  })
  const { jobs, db } = await testApp(t, appOf(slow))
  const id = await jobs.send(slow, {})
  await jobs.run()
  assert.equal((await jobs.find(id))?.error, "It took longer than 100 ms.")
  while (reasons.length < 3) await new Promise(setImmediate)
  assert.equal(reasons[0], "It took longer than 100 ms.")
  // The error arrives a moment before the server calls the query ended.
  await until(async () => {
    const { rows } = await sql`
      select from pg_stat_activity
      where datname = current_database() and query like 'select pg_sleep%' and state = 'active'`.execute(db)
    return rows.length === 0
  })
})

test("a job says how far it is, and what it sends runs too", async (t) => {
  const { keep, told } = keeping()
  const long: Job = job("long", { data: Type.Object({}) }, async ({ report, jobs }) => {
    await report(0.4, "resizing")
    await jobs.send(keep, { n: 1 })
    await report(2).catch((error: Error) => assert.match(error.message, /from 0 to 1/))
  })
  const { jobs } = await testApp(t, appOf(long, keep))
  const id = await jobs.send(long, {})
  assert.equal((await jobs.run()).length, 2)
  assert.deepEqual(told, [1])
  const { progress, note } = (await jobs.find(id))!
  assert.ok(Math.abs(progress! - 0.4) < 1e-6)
  assert.equal(note, "resizing")
})

test("a cron that may not overlap itself waits once at most", async (t) => {
  const nightly = cron("nightly", "0 2 * * *", () => {})
  const often = cron("often", "* * * * *", { overlap: true }, () => {})
  const { jobs } = await testApp(t, appOf(nightly, often))
  const first = await jobs.send(nightly, {})
  assert.equal(await jobs.send(nightly, {}), first)
  assert.notEqual(await jobs.send(often, {}), await jobs.send(often, {}))
  assert.equal((await jobs.run()).length, 3)
  assert.notEqual(await jobs.send(nightly, {}), first)
})

test("a mistake in a job stops the boot with what is wrong", () => {
  const data = Type.Object({})
  const run = () => {}
  assert.throws(() => job("Tell Fans", { data }, run), /lower-case letters, digits and hyphens.*"Tell Fans" is not/)
  assert.throws(
    () => job("a", { data, retries: -1 }, run),
    /The job "a" has retries -1: it is a whole number from 0 to 100/,
  )
  assert.throws(() => job("a", { data, timeout: "10" }, run), /has timeout "10": it is a duration with its unit/)
  assert.throws(() => job("a", { data, timeout: "2 days" }, run), /has timeout "2 days": it is 1 ms to 23 hours/)
  assert.throws(() => job("a", { data, concurrency: 0 }, run), /has concurrency 0/)
  assert.throws(() => job("a", { data, readable: "boss" as never }, run), /readable by "boss": that is no role/)
  assert.throws(() => job("a", { data: Type.String() as never }, run), /needs data: Type\.Object/)
  assert.throws(() => job("a", { data }, undefined as never), /needs a function/)
  assert.throws(() => cron("c", "* * * * * *", run), /The cron "c" needs five fields/)
  assert.throws(() => cron("c", "61 * * * *", run), /The cron "c" cannot be "61 \* \* \* \*"/)
  assert.throws(() => cron("c", "0 2 * * *", { timeZone: "Europe/Nowhere" }, run), /cannot be .* in Europe\/Nowhere/)
  const one = job("one", { data }, run)
  assert.throws(() => appOf(one, one), /Two jobs are called "one"/)
  assert.throws(() => appOf(job("trestle.mail", { data }, run)), /has a name of the kit's/)
})

test("a daily cron comes once on the days when the clock is changed", () => {
  const ticks = (expression: string, from: string, count: number) =>
    ticksOf({ expression, timeZone: "Europe/Helsinki", catchUp: false }, new Date(from), count).map((at) =>
      at.toISOString(),
    )
  // On 29 March 2026 3:00 becomes 4:00: what would be at 3:30 comes at 4:30, which is half past one in UTC.
  assert.deepEqual(ticks("30 3 * * *", "2026-03-28T00:00:00Z", 3), [
    "2026-03-28T01:30:00.000Z",
    "2026-03-29T01:30:00.000Z",
    "2026-03-30T00:30:00.000Z",
  ])
  // On 25 October 4:00 becomes 3:00: 3:30 is there twice, and it comes at one of them.
  const autumn = ticks("30 3 * * *", "2026-10-24T00:00:00Z", 4)
  assert.deepEqual(
    autumn.map((at) => at.slice(0, 10)),
    ["2026-10-24", "2026-10-25", "2026-10-26", "2026-10-27"],
  )
  assert.deepEqual(ticks("0 12 * mar SUN#5", "2026-01-01T00:00:00Z", 1), ["2026-03-29T09:00:00.000Z"])
})
