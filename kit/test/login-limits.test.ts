// @together
/** How many wrong passwords may be tried, by whom. Windows end here when the test says so: their end is set in the table. */
import assert from "node:assert/strict"
import { randomUUID } from "node:crypto"
import { type TestContext, test } from "node:test"
import { type Db, HttpError, sql } from "trestle"
import { createLoginLimits, type LoginAttempt, type LoginLimitSettings } from "../src/auth/login-limits.ts"
import { Log } from "../src/core/log.ts"
import { openDatabase } from "../src/db/database.ts"
import { ledgersOf } from "../src/db/migrations.ts"
import { createTestDatabase } from "../src/db/test-database.ts"

const noTimeouts = { connectTimeoutMs: 60_000, statementTimeoutMs: 0, idleInTransactionTimeoutMs: 0 }

/** The limits of two processes on one database. */
async function open(t: TestContext, settings?: LoginLimitSettings) {
  const made = await createTestDatabase(await ledgersOf("/nonexistent"))
  const pools = [0, 1].map(() =>
    openDatabase(
      made.address,
      { ...noTimeouts, poolSize: 10, preparedStatements: true, logSql: false },
      new Log("error"),
    ),
  )
  t.after(async () => {
    for (const pool of pools) await pool.close()
    await made.drop()
  })
  const [limits, others] = pools.map(({ db }) => createLoginLimits(db, settings))
  return { db: pools[0]!.db, limits: limits!, others: others! }
}

type Limits = Awaited<ReturnType<typeof open>>["limits"]

/** Whether an attempt was let through. */
async function isAdmitted(limits: Limits, attempt: LoginAttempt): Promise<boolean> {
  try {
    await limits.begin(attempt)
    return true
  } catch (error) {
    assert.ok(error instanceof HttpError, String(error))
    assert.equal(error.statusCode, 429)
    return false
  }
}

type Make = (i: number) => LoginAttempt

/** How many of so many attempts are let through, one after the other. */
async function admittedOf(limits: Limits, count: number, make: Make): Promise<number> {
  let admitted = 0
  for (let i = 0; i < count; i++) if (await isAdmitted(limits, make(i))) admitted++
  return admitted
}

/** How many of so many attempts are let through when two processes get them all at once. */
async function admittedAtOnce({ limits, others }: { limits: Limits; others: Limits }, count: number, make: Make) {
  const answers = Array.from({ length: count }, (_, i) => isAdmitted(i % 2 ? limits : others, make(i)))
  return (await Promise.all(answers)).filter(Boolean).length
}

const addressOf = (i: number) => `198.51.${i >> 8}.${i & 255}`
const ada = { account: "ada@example.org", address: "192.0.2.1" }

const endAll = (db: Db) => sql`update trestle.login_limits set ends = now() - interval '1 second'`.execute(db)
const countsOf = async (db: Db) =>
  (await sql<{ count: number }>`select count from trestle.login_limits order by count`.execute(db)).rows.map(
    ({ count }) => count,
  )

test("of 200 guesses at once from one address, over two pools, exactly 10 are let through", async (t) => {
  const opened = await open(t)
  assert.equal(await admittedAtOnce(opened, 200, () => ada), 10)
  assert.deepEqual(await countsOf(opened.db), [10, 10, 10], "what was refused is not counted anywhere")
  assert.equal(await isAdmitted(opened.limits, { ...ada, address: "192.0.2.2" }), true, "the owner is elsewhere")
  assert.equal(await isAdmitted(opened.limits, { ...ada, account: "bob@example.org" }), true)
})

test("of 200 guesses at once at one account from as many addresses, exactly 50 are let through", async (t) => {
  const opened = await open(t)
  assert.equal(await admittedAtOnce(opened, 200, (i) => ({ ...ada, address: addressOf(i) })), 50)
})

test("of 200 guesses at once from one address at as many accounts, exactly 100 are let through", async (t) => {
  const opened = await open(t)
  assert.equal(await admittedAtOnce(opened, 200, (i) => ({ ...ada, account: `${i}@example.org` })), 100)
})

test("the refusal says when to come again, and neither which limit it was nor who has an account", async (t) => {
  const { limits, db } = await open(t)
  await admittedOf(limits, 10, () => ada)
  const refusal = async () =>
    limits.begin(ada).then(
      () => assert.fail(),
      (error: HttpError) => error,
    )
  const { message, headers } = await refusal()
  assert.equal(message, "Too many wrong passwords. Try again in 15 minutes.")
  assert.ok(Number(headers?.["retry-after"]) > 890 && Number(headers?.["retry-after"]) <= 900)
  await sql`update trestle.login_limits set ends = now() + interval '40 seconds'`.execute(db)
  assert.equal((await refusal()).message, "Too many wrong passwords. Try again in 1 minute.")
})

test("a guesser with one IPv6 network has one address, however it is written", async (t) => {
  const { limits } = await open(t)
  const addresses = (i: number) =>
    [`2001:db8:0:7::${i}`, `2001:0DB8:0000:0007:${i}::1`, `2001:db8:0:7:1:2:3:${i}`][i % 3]!
  assert.equal(await admittedOf(limits, 30, (i) => ({ ...ada, address: addresses(i) })), 10)
  assert.equal(await isAdmitted(limits, { ...ada, address: "2001:db8:0:8::1" }), true)
  assert.equal(await admittedOf(limits, 11, (i) => ({ ...ada, address: i % 2 ? "10.0.0.1" : "::ffff:10.0.0.1" })), 10)
})

test("whatever spelling of an address may find its account, one counter counts", async (t) => {
  const { limits } = await open(t)
  const spellings = [
    "mia.k@example.org",
    "MIA.K@EXAMPLE.ORG",
    "mİa.K@example.org",
    "mıa.k@example.org",
    " mia.k@example.org ",
  ]
  const guess = (i: number) => ({ account: spellings[i % spellings.length]!, address: ada.address })
  assert.equal(await admittedOf(limits, 20, guess), 10)
})

test("nobody can lock the owner out: a known browser has a counter of its own", async (t) => {
  const opened = await open(t)
  const { limits } = opened
  const browser = randomUUID()
  await admittedAtOnce(opened, 120, (i) => ({ ...ada, address: addressOf(i) }))
  await admittedAtOnce(opened, 120, (i) => ({ ...ada, account: `${i}@example.org` }))
  assert.equal(await isAdmitted(limits, ada), false, "account and address are both full")

  assert.equal(await admittedAtOnce(opened, 40, () => ({ ...ada, browser })), 10, "behind the same address")
  assert.equal(await isAdmitted(limits, { ...ada, browser: randomUUID() }), true)
  assert.equal(await isAdmitted(limits, { account: "bob@example.org", address: ada.address, browser }), true)
  await limits.succeeded({ ...ada, browser })
  assert.equal(await admittedOf(limits, 11, () => ({ ...ada, browser })), 10, "success forgets the mistypes")
  assert.equal(await isAdmitted(limits, ada), false, "and nothing else")
})

test("a known browser's attempts fill no counter of others", async (t) => {
  const { limits, db } = await open(t, { perAccount: 5, perAddress: 5 })
  assert.equal(await admittedOf(limits, 20, () => ({ ...ada, browser: "b" })), 10)
  assert.deepEqual(await countsOf(db), [10])
  assert.equal(await isAdmitted(limits, ada), true)
})

test("a success takes back its own attempt, and forgets those of its account and address only", async (t) => {
  const { limits, db } = await open(t)
  await admittedOf(limits, 9, () => ada)
  await admittedOf(limits, 5, () => ({ ...ada, address: "192.0.2.2" }))
  await admittedOf(limits, 4, () => ({ ...ada, account: "bob@example.org" }))
  await limits.begin(ada)
  assert.deepEqual(await countsOf(db), [4, 4, 5, 5, 10, 14, 15])
  await limits.succeeded(ada)
  assert.deepEqual(await countsOf(db), [4, 4, 5, 5, 13, 14])
})

test("logging in to one's own account again and again does not make room for guesses at others", async (t) => {
  const { limits } = await open(t)
  const mine = { account: "mallory@example.org", address: ada.address }
  let guesses = 0
  for (let i = 0; i < 120; i++) {
    if (await isAdmitted(limits, { ...ada, account: `${i}@example.org` })) guesses++
    if (await isAdmitted(limits, mine)) await limits.succeeded(mine)
  }
  assert.equal(guesses, 100)
})

test("an attempt whose password was not looked at is taken back", async (t) => {
  const { limits, db } = await open(t)
  await admittedOf(limits, 3, () => ada)
  await limits.takeBack(ada)
  assert.deepEqual(await countsOf(db), [2, 2, 2])
  await admittedOf(limits, 2, () => ({ ...ada, browser: "b" }))
  await limits.takeBack({ ...ada, browser: "b" })
  assert.deepEqual(await countsOf(db), [1, 2, 2, 2])
})

test("what was never counted cannot be taken back", async (t) => {
  const { limits, db } = await open(t)
  for (const attempt of [ada, { ...ada, browser: "b" }]) {
    await limits.succeeded(attempt)
    await limits.takeBack(attempt)
  }
  assert.deepEqual(await countsOf(db), [])
  await limits.begin(ada)
  for (let i = 0; i < 3; i++) await limits.takeBack(ada)
  assert.deepEqual(await countsOf(db), [0, 0, 0])
})

test("going on does not prolong a window, and counting begins anew when it ends", async (t) => {
  const { limits, db } = await open(t)
  await admittedOf(limits, 10, () => ada)
  const ends = async () => (await sql`select key, ends from trestle.login_limits order by key`.execute(db)).rows
  const before = await ends()
  assert.equal(await admittedOf(limits, 20, () => ada), 0)
  assert.deepEqual(await ends(), before)
  await endAll(db)
  assert.equal(await admittedOf(limits, 12, () => ada), 10)
  assert.deepEqual(await countsOf(db), [10, 10, 10])
})

test("a success after the end of the window leaves what is counted since alone", async (t) => {
  const { limits, db } = await open(t)
  await limits.begin(ada)
  await endAll(db)
  await limits.succeeded(ada)
  assert.deepEqual(await countsOf(db), [1, 1], "rows whose window has ended say nothing any more")
})

test("counts outlive the processes, and are keyed by hashes only", async (t) => {
  const { limits, others, db } = await open(t)
  await admittedOf(limits, 10, () => ada)
  assert.equal(await isAdmitted(others, ada), false)
  const { rows } = await sql<{ row: string; length: number }>`
    select login_limits::text as row, length(key) as length from trestle.login_limits`.execute(db)
  for (const { row, length } of rows) {
    assert.equal(length, 32)
    assert.doesNotMatch(row, /ada@|192\./)
  }
})

test("sweeping deletes what has ended and keeps the rest, however much there is", async (t) => {
  const { limits, others, db } = await open(t)
  await sql`
    insert into trestle.login_limits
    select sha256(i::text::bytea), 1, now() - interval '1 second' from generate_series(1, 25000) i`.execute(db)
  await limits.begin(ada)
  await Promise.all([limits.sweep(), others.sweep()])
  await limits.sweep()
  assert.deepEqual(await countsOf(db), [1, 1, 1])
})

test("attempts, successes and sweeps over the same keys never wait for each other in a circle, and no count is lost", async (t) => {
  const limit = 1_000_000
  const { limits, others, db } = await open(t, { perAccountAndAddress: limit, perAccount: limit, perAddress: limit })
  const counted = { all: 0, kept: 0 }
  const began = performance.now()
  const work = async (limits: Limits, seed: number) => {
    for (let i = 0; i < 60; i++) {
      const attempt = { account: `${(seed + i) % 3}@example.org`, address: addressOf((seed * 7 + i * 5) % 4) }
      await limits.begin(attempt)
      counted.all++
      if (i % 3 === 0) await limits.succeeded(attempt)
      else if (i % 3 === 1) await limits.takeBack(attempt)
      else counted.kept++
      if (i % 10 === 0) await limits.sweep()
    }
  }
  await Promise.all(Array.from({ length: 20 }, (_, i) => work(i % 2 ? limits : others, i)))
  t.diagnostic(`${counted.all} attempts in ${Math.round(performance.now() - began)} ms`)
  const { rows } = await sql<{ sum: number }>`
    select sum(count)::int as sum from trestle.login_limits where key in (${sql.join(
      [0, 1, 2].map((i) => sql`sha256(${`["account","${i}@example.org"]`}::bytea)`),
    )})`.execute(db)
  assert.equal(rows[0]?.sum, counted.kept)
})

test("windows that end in the midst of it make no circle either", async (t) => {
  const opened = await open(t, { windowMs: 5, perAccountAndAddress: 3, perAccount: 4, perAddress: 5 })
  const work = async (limits: Limits, seed: number) => {
    for (let i = 0; i < 60; i++) {
      const attempt = { account: `${(seed + i) % 3}@example.org`, address: addressOf((seed * 7 + i * 5) % 4) }
      if (await isAdmitted(limits, attempt)) await limits.succeeded(attempt)
      if (i % 5 === 0) await limits.sweep()
    }
  }
  await Promise.all(Array.from({ length: 20 }, (_, i) => work(i % 2 ? opened.limits : opened.others, i)))
})
