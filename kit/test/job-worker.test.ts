// @together
/** A process's part in running jobs, here in the test's own process: what it takes, says of what runs, gives back and rescues. */
import assert from "node:assert/strict"
import { type TestContext, test } from "node:test"
import { cron, type Job, job, sql, Type } from "trestle"
import { loadConfig } from "../src/core/config/index.ts"
import { Log } from "../src/core/log.ts"
import { type Database, type Db, openDatabase } from "../src/db/database.ts"
import { ledgersOf } from "../src/db/migrations.ts"
import { createTestDatabase } from "../src/db/test-database.ts"
import { declareJobs } from "../src/jobs/boss.ts"
import { openJobConnections } from "../src/jobs/connections.ts"
import type { AnyJob, JobState } from "../src/jobs/job.ts"
import { JobWorker, type JobWorkerOptions } from "../src/jobs/job-worker.ts"
import { openJobs } from "../src/jobs/jobs.ts"
import { askSteadiness } from "../src/jobs/steadiness.ts"
import { createMail } from "../src/mail/mail.ts"
import { MailFolder } from "../src/mail/mail-folder.ts"
import { openStore } from "../src/store/store.ts"
import { deliveryRules } from "../src/webhooks/deliver.ts"
import { openWebhooks } from "../src/webhooks/webhooks.ts"

const poolSettings = {
  poolSize: 5,
  connectTimeoutMs: 5000,
  statementTimeoutMs: 30_000,
  idleInTransactionTimeoutMs: 30_000,
  preparedStatements: true,
  logSql: false,
} as const

/** A database with these jobs, and processes that run them. */
async function jobsOn(t: TestContext, ...all: AnyJob[]) {
  const { address, drop } = await createTestDatabase(await ledgersOf("/nonexistent"))
  const lines: string[] = []
  const log = new Log("info", "test", (line) => void lines.push(line))
  const open: Database[] = []
  const openOne = (poolSize: number) => {
    const database = openDatabase(address, { ...poolSettings, poolSize }, log)
    open.push(database)
    return database
  }
  const database = openOne(5)
  await declareJobs(database, all, log)
  const jobs = openJobs(database, all, log)
  const workers: JobWorker[] = []
  t.after(async () => {
    for (const worker of workers) await worker.stop(0)
    await jobs.close()
    for (const one of open) await one.close()
    await drop()
  })
  const config = loadConfig({ folder: "/nonexistent", env: {} })
  const { db: handlersDb } = openOne(1)
  const webhooks = openWebhooks({ db: handlersDb, jobs, rules: deliveryRules(config, "test") })
  const mails = { templates: new Map(), transport: new MailFolder("/nonexistent") }
  const mail = createMail({ config, app: "sample", jobs, ...mails })
  const context = { db: handlersDb, kv: openStore({ database, redis: undefined, log }), jobs, mail, webhooks, config }
  const { db } = database
  return {
    db,
    jobs,
    lines,
    async start(runs: JobWorkerOptions["runs"] = "crowd") {
      const worker = await JobWorker.start({
        database: openJobConnections(address, { ...poolSettings, poolSize: 2 }, log),
        jobs: all,
        context,
        log,
        blockTimeoutMs: 5000,
        runs,
      })
      workers.push(worker)
      return worker
    },
    /** Waits until it is what it should be. */
    async until(id: string, isSo: (state: JobState) => boolean): Promise<JobState> {
      for (;;) {
        const state = await jobs.find(id)
        if (state && isSo(state)) return state
      }
    },
  }
}

const none = Type.Object({})

/** A job that begins, and ends when it is told to. */
function held(options: { expires?: string } = {}) {
  const begun = Promise.withResolvers<void>()
  const end = Promise.withResolvers<void>()
  const counts = { begun: 0 }
  const hold: Job = job("hold", { ...options, data: none }, async () => {
    counts.begun++
    begun.resolve()
    await end.promise
  })
  return { hold, begun: begun.promise, end: end.resolve, counts }
}

const heartbeat = async (db: Db, id: string): Promise<string> => {
  const { rows } = await sql<{ at: string }>`select heartbeat_on as at from trestle_jobs.job where id = ${id}`.execute(
    db,
  )
  return rows[0]!.at
}

/** Waits until it is said anew that a job runs. */
async function saidToRun(db: Db, id: string): Promise<void> {
  const before = await heartbeat(db, id)
  const late = performance.now() + 10_000
  while ((await heartbeat(db, id)) <= before) {
    assert.ok(performance.now() < late, "nothing was said of it any more")
  }
}

/** As if the database had been there for long. */
const beSteady = (db: Db) => sql`update trestle.job_watch set since = now() - interval '1 h', seen = now()`.execute(db)

test("a process that ends says of its jobs that they run until they have ended", async (t) => {
  const { hold, begun, end, counts } = held()
  const { db, jobs, start } = await jobsOn(t, hold)
  const worker = await start()
  const id = await jobs.send(hold, {})
  await begun
  const stopped = worker.stop(60_000)
  await saidToRun(db, id)
  end()
  await stopped
  assert.deepEqual([(await jobs.find(id))?.phase, counts.begun], ["done", 1])
})

test("a job that was being fetched at a stop is given back, and the attempt does not count", async (t) => {
  const { hold, counts } = held()
  const { db, jobs, start } = await jobsOn(t, hold)
  const worker = await start()
  const id = await jobs.send(hold, {}, { delay: "1 hour" })
  let stopped: Promise<void> | undefined
  await db.transaction().execute(async (tx) => {
    await sql`update trestle_jobs.job set start_after = now() where id = ${id}`.execute(db)
    await sql`lock table trestle_jobs.job_common in exclusive mode`.execute(tx)
    for (;;) {
      const { rows } = await sql`select from pg_locks where not granted and database =
        (select oid from pg_database where datname = current_database())`.execute(tx)
      if (rows.length > 0) break
    }
    stopped = worker.stop(60_000)
  })
  await stopped
  // Whatever was asked before has been answered.
  await db.transaction().execute((tx) => sql`lock table trestle_jobs.job_common in exclusive mode`.execute(tx))
  assert.equal(counts.begun, 0)
  const { phase, attempts, started } = (await jobs.find(id))!
  assert.deepEqual({ phase, attempts, started }, { phase: "waiting", attempts: 0, started: null })
})

test("how a job ended is told again after a deadlock, and one that cannot be told holds up no other", async (t) => {
  const ran: string[] = []
  const one = job("one", { data: none }, () => void ran.push("one"))
  const odd = job("odd", { data: none }, () => void ran.push("odd"))
  const { db, jobs, lines, start, until } = await jobsOn(t, one, odd)
  await sql`create sequence refusals`.execute(db)
  await sql`create function refuse() returns trigger language plpgsql as $$ begin
    if new.name = 'odd' then raise 'never'; end if;
    if nextval('refusals') <= 2 then raise 'deadlock detected' using errcode = '40P01'; end if;
    return new;
  end $$`.execute(db)
  await sql`create trigger refuse before update on trestle_jobs.job_common
    for each row when (new.state = 'completed') execute function refuse()`.execute(db)
  await start()
  const never = await jobs.send(odd, {})
  const id = await jobs.send(one, {})
  await until(id, ({ phase }) => phase === "done")
  assert.equal((await jobs.find(never))?.phase, "running")
  while (!lines.join("").includes("How a job ended could not be told")) await new Promise(setImmediate)
  assert.deepEqual(ran.sort(), ["odd", "one"])
})

test("an error that PostgreSQL would not keep is kept without what it refuses", async (t) => {
  const odd = job("odd", { data: none, retries: 0 }, ({ report }) =>
    report(0.5, "half \ud83d").then(() => {
      throw new Error(`NUL \0, half \ud83d, ${"long ".repeat(1_000_000)}`)
    }),
  )
  const { jobs, start, until } = await jobsOn(t, odd)
  await start()
  const { error, note } = await until(await jobs.send(odd, {}), ({ phase }) => phase === "dead")
  assert.match(error!, /^NUL , half \ufffd, long long/)
  assert.ok(error!.length < 10_000)
  assert.equal(note, "half \ufffd")
})

test("a job that has expired does not begin, and one that is tried again does not expire", async (t) => {
  const { hold, counts } = held({ expires: "1 second" })
  const fails = job("fails", { data: none, expires: "1 second", retryDelay: "1 hour" }, () => {
    throw new Error("for now")
  })
  const { db, jobs, lines, start, until } = await jobsOn(t, hold, fails)
  const late = await jobs.send(hold, {}, { delay: "1 hour" })
  await sql`update trestle_jobs.job set start_after = now() - interval '2 s', keep_until = now() - interval '1 s'`.execute(
    db,
  )
  await start()
  const tried = await jobs.send(fails, {})
  await until(tried, ({ error }) => error === "for now")
  const { rows } =
    await sql`select from trestle_jobs.job where id = ${tried} and keep_until < now() + interval '2 h'`.execute(db)
  assert.equal(rows.length, 0)
  while (await jobs.find(late)) await new Promise(setImmediate)
  assert.equal(counts.begun, 0)
  assert.match(lines.join(""), /job hold: It had expired, and is dropped/)
})

test("a job is picked up because it is notified, and not because somebody looks", async (t) => {
  const ran = Promise.withResolvers<void>()
  const one = job("one", { data: none }, () => ran.resolve())
  const { jobs, db, start } = await jobsOn(t, one)
  // Nobody looks.
  t.mock.timers.enable({ apis: ["setInterval"] })
  await start()
  for (;;) {
    const { rows } = await sql`select from pg_stat_activity where datname = current_database()
      and query like 'listen%' and state = 'idle'`.execute(db)
    if (rows.length > 0) break
  }
  await jobs.send(one, {})
  await ran.promise
  t.mock.timers.reset()
})

test("a job that failed as it should need not be alone the next time", async (t) => {
  const fails = job("fails", { data: none, retries: 2, retryDelay: "1 second" }, () => {
    throw new Error("as it should")
  })
  const { db, jobs, start, until } = await jobsOn(t, fails)
  const id = await jobs.send(fails, {}, { priority: -7 })
  await sql`update trestle_jobs.job set state = 'active', started_on = now(), retry_count = 1,
      heartbeat_on = now() - interval '1 min', priority = 980000 - 7 where id = ${id}`.execute(db)
  await sql`update trestle_jobs.job set state = 'retry' where id = ${id}`.execute(db)
  await start("alone")
  await until(id, ({ phase }) => phase === "dead")
  const { rows } = await sql<{ priority: number }>`select priority from trestle_jobs.job`.execute(db)
  assert.deepEqual(rows, [{ priority: -7 }, { priority: -7 }])
})

test("what is taken of a long queue is read, and not all that waits", async (t) => {
  const count = 3000
  let ran = 0
  const all = Promise.withResolvers<void>()
  const one = job("one", { data: none }, () => void (++ran === count && all.resolve()))
  const { db, start } = await jobsOn(t, one)
  await sql`insert into trestle_jobs.job_common (name, data, policy)
    select 'one', '{}', 'standard' from generate_series(1, ${count}::int)`.execute(db)
  // As with statistics of an empty queue, by which reading and sorting all of it seems as good.
  const { rows } = await sql<{ name: string }>`select current_database() as name`.execute(db)
  await sql`alter database ${sql.id(rows[0]!.name)} set enable_indexscan = off`.execute(db)
  const worker = await start()
  await all.promise
  await worker.stop(0)
  const read = async () => {
    const { rows } = await sql<{ read: number }>`select idx_tup_read::int as read from pg_stat_user_indexes
      where indexrelname = 'job_common_i11'`.execute(db)
    return rows[0]!.read
  }
  // What a connection has read it tells when it ends.
  while ((await read()) < count) await new Promise(setImmediate)
  // All that waits would be 300 for each. Those that were taken are met a few times too, until PostgreSQL clears them away.
  assert.ok((await read()) < 100 * count, `${await read()} were read, to take ${count}`)
})

test("nothing is rescued before the database has been there for a while, whichever process asked it", async (t) => {
  const { db } = await jobsOn(t)
  const asked = async (since: string, seen: string) => {
    await sql`update trestle.job_watch set since = now() - ${since}::interval, seen = now() - ${seen}::interval`.execute(
      db,
    )
    return (await askSteadiness(db, 8000)).isSteady
  }
  assert.equal(await asked("7 s", "1 s"), false)
  assert.equal(await asked("9 s", "1 s"), true)
  // Nobody asked for five seconds: it was away, or all processes were, or the machine slept.
  assert.equal(await asked("1 h", "5 s"), false)
  assert.equal((await askSteadiness(db, 8000)).isSteady, false)
})

test("those that run alone go by how often they were tried, over all names", async (t) => {
  const order: string[] = []
  const note = (name: string) => job(name, { data: none }, ({ attempt }) => void order.push(`${name} ${attempt}`))
  const [a, b] = [note("a"), note("b")]
  const { db, jobs, start, until } = await jobsOn(t, a, b)
  const ids: string[] = []
  for (const [one, count] of [
    [a, 2],
    [b, 0],
    [a, 0],
    [b, 1],
  ] as const) {
    const id = await jobs.send(one, {}, { priority: count - 1 })
    ids.push(id)
    await sql`update trestle_jobs.job set state = 'active', started_on = now(), retry_count = ${count},
    heartbeat_on = now() - interval '9 s' where id = ${id}`.execute(db)
  }
  await beSteady(db)
  const crowd = await start()
  const suspects = () =>
    sql`select from trestle_jobs.job where priority > 1000`.execute(db).then(({ rows }) => rows.length)
  while ((await suspects()) < 4) await new Promise(setImmediate)
  await crowd.stop(0)
  await start("alone")
  for (const id of ids) await until(id, ({ phase }) => phase === "done")
  assert.deepEqual(order, ["b 2", "a 2", "b 3", "a 4"])
})

test("a tick of a cron is sent although the process ended that was sending it", async (t) => {
  const ran = Promise.withResolvers<void>()
  // Once a year, and not now.
  const yearly = cron("yearly", "0 0 1 1 *", { timeZone: "Etc/GMT" }, () => ran.resolve())
  const { db, start } = await jobsOn(t, yearly)
  await beSteady(db)
  await start()
  const data = { name: "yearly", key: "", data: {}, options: {} }
  await sql`insert into trestle_jobs.job (name, data, state, started_on, heartbeat_on, retry_limit)
  values ('__pgboss__send-it', ${JSON.stringify(data)}, 'active', now(), now() - interval '9 s', 2)`.execute(db)
  await ran.promise
})
