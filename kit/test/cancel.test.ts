// @together
/** What nobody waits for any more is cancelled in PostgreSQL, and nothing else is. */
import assert from "node:assert/strict"
import { once } from "node:events"
import http from "node:http"
import { connect, createServer, type Server, type Socket } from "node:net"
import { type TestContext, test } from "node:test"
import { setTimeout as pause } from "node:timers/promises"
import type { FastifyRequest } from "fastify"
import { type Db, type Routes, sql, Type } from "trestle"
import { testApp } from "trestle/testing"
import { Log } from "../src/core/log.ts"
import { runIn, type Scope } from "../src/core/scope.ts"
import { type DatabaseAddress, openDatabase, readUrl } from "../src/db/database.ts"
import { createTestDatabase } from "../src/db/test-database.ts"
import { until } from "./embedded/scratch.ts"
import { sampleApp } from "./sample/app.ts"

const open = { role: "visitor", schema: { response: { 200: Type.Object({ done: Type.Boolean() }) } } } as const
const done = { done: true }
const tryLongMs = 30_000

/** A query that nobody cancels runs a minute, twice as long as the tests wait for its end. */
const sleep = (db: Db, name: string) => sql.raw(`select pg_sleep(60) /* ${name} */`).execute(db)

/** An empty database of its own, through a pool that no test uses up. */
async function openScratch(t: TestContext, poolSize: number, change = (address: DatabaseAddress) => address) {
  const made = await createTestDatabase([])
  const settings = { connectTimeoutMs: 60_000, statementTimeoutMs: 0, idleInTransactionTimeoutMs: 0 }
  const database = openDatabase(
    change(made.address),
    { ...settings, poolSize, preparedStatements: true, logSql: false },
    new Log("error"),
  )
  t.after(async () => {
    await database.close()
    await made.drop()
  })
  return { ...database, address: made.address }
}

/** An application, and eyes on the server that it uses. */
async function start(t: TestContext, routes: Routes, env: Record<string, string> = {}) {
  const eyes = await openScratch(t, 1)
  const app = await testApp(t, sampleApp(routes), { env })
  /** How many queries of this name run, on any connection. */
  const running = async (name: string) => {
    const { rows } = await sql<{ n: number }>`
      select count(*)::int as n from pg_stat_activity where state = 'active' and query like ${`%/* ${name} */`}`.execute(
      eyes.db,
    )
    return rows[0]!.n
  }
  return {
    ...app,
    eyes: eyes.db,
    runs: (name: string) => until(async () => (await running(name)) > 0, tryLongMs),
    isGone: (name: string) => until(async () => (await running(name)) === 0, tryLongMs),
  }
}

/** Calls, and hangs up when it is told to. */
function call(url: string, method = "GET", body = "") {
  const request = http.request(url, { method, agent: false, headers: { "content-type": "application/json" } })
  request.on("error", () => {})
  request.end(body)
  return { hangUp: () => void request.destroy() }
}

/** All connections of a pool of this size can be had at once. */
const takeAll = (db: Db, size: number) => {
  let taken = 0
  const all = Promise.withResolvers<void>()
  const take = () =>
    db.connection().execute(async () => {
      if (++taken === size) all.resolve()
      await all.promise
    })
  return Promise.all(Array.from({ length: size }, take))
}

test("the query of a GET whose client hangs up is gone at once", async (t) => {
  const { url, db, runs, isGone } = await start(
    t,
    (api) => {
      api.get("/", open, async () => {
        await sleep(api.db, "plain")
        return done
      })
    },
    { DATABASE_POOL_SIZE: "2" },
  )
  for (const method of ["GET", "HEAD"]) {
    const request = call(`${url}/api/sample`, method)
    await runs("plain")
    const began = performance.now()
    request.hangUp()
    await isGone("plain")
    t.diagnostic(`${method}: gone after ${Math.round(performance.now() - began)} ms`)
  }
  await takeAll(db, 2)
})

test("the transaction of a GET whose client hangs up is rolled back", async (t) => {
  const { url, db, runs, isGone } = await start(
    t,
    (api) => {
      api.get("/", open, async () => {
        await api.db.transaction().execute(async (tx) => {
          await sql`insert into kept values (1)`.execute(tx)
          await sleep(tx, "inside")
        })
        return done
      })
    },
    { DATABASE_POOL_SIZE: "2" },
  )
  await sql`create table kept (i int)`.execute(db)
  const request = call(`${url}/api/sample`)
  await runs("inside")
  request.hangUp()
  await isGone("inside")
  // The exclusive lock waits for the transaction to end.
  await sql`alter table kept add column j int`.execute(db)
  assert.deepEqual((await sql`select * from kept`.execute(db)).rows, [])
  await takeAll(db, 2)
})

test("a GET whose client hangs up while it waits for a connection stops waiting", async (t) => {
  const stopped = Promise.withResolvers<unknown>()
  const waits = Promise.withResolvers<void>()
  const { url, runs, isGone } = await start(
    t,
    (api) => {
      api.get("/first", open, async () => {
        await sleep(api.db, "first")
        return done
      })
      api.get("/second", open, async () => {
        const query = sleep(api.db, "second")
        waits.resolve()
        await query.catch(stopped.resolve)
        return done
      })
    },
    { DATABASE_POOL_SIZE: "1", DATABASE_CONNECT_TIMEOUT: "60 s" },
  )
  const first = call(`${url}/api/sample/first`)
  await runs("first")
  const second = call(`${url}/api/sample/second`)
  await waits.promise
  second.hangUp()
  assert.match(String(await stopped.promise), /The client hung up/)
  await runs("first")
  first.hangUp()
  await isGone("first")
})

test("a POST whose client hangs up runs to its end", async (t) => {
  const hungUp = Promise.withResolvers<void>()
  const { url, db, eyes, runs } = await start(t, (api) => {
    api.post("/", open, async (request, reply) => {
      reply.raw.once("close", hungUp.resolve)
      await api.db.transaction().execute(async (tx) => {
        await sql`insert into kept values (1)`.execute(tx)
        await sql.raw("select pg_advisory_xact_lock_shared(1) /* post */").execute(tx)
        await sql`insert into kept values (2)`.execute(tx)
      })
      assert.equal(request.signal.aborted, false)
      await sql`insert into kept values (3)`.execute(api.db)
      return done
    })
  })
  await sql`create table kept (i int)`.execute(db)
  await db.connection().execute(async (holder) => {
    await sql`select pg_advisory_lock(1)`.execute(holder)
    const request = call(`${url}/api/sample`, "POST", "{}")
    await runs("post")
    request.hangUp()
    await hungUp.promise
    await runs("post")
    await sql`select pg_advisory_unlock(1)`.execute(holder)
  })
  await until(async () => (await sql`select i from kept`.execute(db)).rows.length === 3, tryLongMs)
  await sql`select 1`.execute(eyes)
})

test("a request over its time is answered 503, its signal aborts and its query is cancelled", async (t) => {
  const seen: unknown[] = []
  const slow = { ...open, timeout: "300 ms" }
  const { url, db, log, isGone } = await start(
    t,
    (api) => {
      const handler = async (request: FastifyRequest) => {
        await sql`select 1`.execute(api.db)
        seen.push(request.signal.aborted)
        await sleep(api.db, "overdue").catch(() => {})
        seen.push(request.signal.aborted, (request.signal.reason as Error).message)
        return done
      }
      api.get("/", slow, handler)
      api.post("/", slow, handler)
    },
    { DATABASE_POOL_SIZE: "2" },
  )
  for (const init of [{}, { method: "POST", body: "{}", headers: { "content-type": "application/json" } }]) {
    const response = await fetch(`${url}/api/sample`, init)
    assert.equal(response.status, 503)
    assert.match(response.headers.get("content-type") ?? "", /^application\/problem\+json/)
    assert.match(((await response.json()) as { detail: string }).detail, /took too long and was stopped/)
    await isGone("overdue")
    await until(() => seen.length === 3, tryLongMs)
    const [before, after, reason] = seen.splice(0)
    assert.deepEqual([before, after], [false, true], "reading the body aborts nothing")
    assert.match(String(reason), /took too long/)
  }
  assert.equal(log.filter((line) => line.includes("took too long and was stopped")).length, 2)
  await takeAll(db, 2)
})

test("what a handler answers after its time is for nobody, and no mistake of its own", async (t) => {
  const late = Promise.withResolvers<object>()
  const { url, log } = await testApp(
    t,
    sampleApp((api) => {
      const route = { role: "visitor", timeout: "300 ms", schema: { response: { 200: Type.Object({}) } } } as const
      api.get("/late", route, () => late.promise as Promise<object>)
    }),
  )
  const { status } = await fetch(`${url}/api/sample/late`)
  assert.equal(status, 503)
  late.resolve({})
  // What it had waited for was told before this is answered.
  assert.equal((await fetch(`${url}/api/health`)).status, 200)
  assert.deepEqual(
    log.filter((line) => line.includes("already sent")),
    [],
  )
})

test("what a cancelled request asks later is refused, and nothing of its transaction is committed", async (t) => {
  const errors: unknown[] = []
  const ended = Promise.withResolvers<void>()
  const { url, db, runs } = await start(
    t,
    (api) => {
      api.get("/", open, async () => {
        const keep = (error: unknown) => void errors.push(error)
        // A handler that swallows every error still commits nothing.
        await api.db
          .transaction()
          .execute(async (tx) => {
            await sql`insert into kept values (1)`.execute(tx)
            await sleep(tx, "swallowed").catch(keep)
            await sql`insert into kept values (2)`.execute(tx).catch(keep)
          })
          .catch(keep)
        await sql`insert into kept values (3)`.execute(api.db).catch(keep)
        ended.resolve()
        return done
      })
    },
    { DATABASE_POOL_SIZE: "2" },
  )
  await sql`create table kept (i int)`.execute(db)
  const request = call(`${url}/api/sample`)
  await runs("swallowed")
  request.hangUp()
  await ended.promise
  assert.deepEqual(
    errors.map((error) => (error as Error).message),
    ["canceling statement due to user request", "The client hung up.", "The client hung up.", "The client hung up."],
  )
  assert.deepEqual((await sql`select i from kept`.execute(db)).rows, [])
  await takeAll(db, 2)
})

test("between two statements of a transaction a hang-up is enough to roll it back", async (t) => {
  const inside = Promise.withResolvers<void>()
  const ended = Promise.withResolvers<unknown>()
  const { url, db } = await start(t, (api) => {
    api.get("/", open, async (request) => {
      const work = api.db.transaction().execute(async (tx) => {
        await sql`insert into kept values (1)`.execute(tx)
        inside.resolve()
        await once(request.signal, "abort")
      })
      await work.catch(ended.resolve)
      return done
    })
  })
  await sql`create table kept (i int)`.execute(db)
  const request = call(`${url}/api/sample`)
  await inside.promise
  request.hangUp()
  assert.match(String(await ended.promise), /The client hung up/)
  assert.deepEqual((await sql`select i from kept`.execute(db)).rows, [])
})

/** Work that the test calls off. */
class Work implements Scope {
  abortReason: Error | undefined
  readonly listeners = new Set<(reason: Error) => void>()
  onAbort(listener: (reason: Error) => void): void {
    this.listeners.add(listener)
  }
  offAbort(listener: (reason: Error) => void): void {
    this.listeners.delete(listener)
  }
  callOff(): void {
    this.abortReason = new Error("called off")
    for (const listener of this.listeners) listener(this.abortReason)
  }
}

/** Does `main` while `count` loops do `beside`. */
async function whileLooping(count: number, beside: () => Promise<void>, main: () => Promise<unknown>): Promise<void> {
  let isOver = false
  const loops = Array.from({ length: count }, async () => {
    while (!isOver) await beside()
  })
  await main().finally(() => {
    isOver = true
  })
  await Promise.all(loops)
}

test("10,000 aborts at random moments hit no other query, and keep what was committed", async (t) => {
  const poolSize = 8
  const { db, pool } = await openScratch(t, poolSize)
  await sql`create table kept (i int)`.execute(db)
  const aborts = 10_000
  let begun = 0
  let refused = 0
  let cancelled = 0
  const committed = new Set<number>()
  const surprises: string[] = []
  const works: Work[] = []

  const victim = async () => {
    const number = begun++
    // Every third can only end by its cancel; the others end by themselves at about the same time.
    const seconds = number % 3 ? 0.003 : 10
    const work = new Work()
    const query = runIn(work, async () => {
      if (number % 2) await sql`select pg_sleep(${seconds})`.execute(db)
      else {
        await db.transaction().execute(async (tx) => {
          await sql`insert into kept values (${number})`.execute(tx)
          await sql`select pg_sleep(${seconds})`.execute(tx)
        })
        committed.add(number)
      }
    }).catch((error) => {
      if (error === work.abortReason) refused++
      else if (error.code === "57014") cancelled++
      else surprises.push(String(error))
    })
    // From before the connection is there to after it went back.
    if (number % 4) await pause(Math.random() * 6)
    else for (let turns = Math.random() * 30; turns > 0; turns--) await new Promise(setImmediate)
    work.callOff()
    await query
    works.push(work)
  }

  let innocent = 0
  const hit: string[] = []
  const bystander = async () => {
    const query = () => sql`select pg_sleep(0.0002)`.execute(db)
    await (innocent++ % 2 ? query() : runIn(new Work(), query)).catch((error) => void hit.push(String(error)))
  }
  const abortAll = async () => {
    while (begun < aborts) await victim()
  }
  const began = performance.now()
  await whileLooping(4, bystander, () => Promise.all(Array.from({ length: 9 }, abortAll)))
  const seconds = ((performance.now() - began) / 1000).toFixed(1)
  t.diagnostic(
    `${begun} aborts in ${seconds} s: ${cancelled} in a query, ${refused} before one, ${begun - cancelled - refused} too late; ` +
      `${innocent} innocent queries, ${hit.length} hit`,
  )
  assert.deepEqual(hit, [])
  assert.deepEqual(surprises, [])
  await until(() => pool.idleCount === pool.totalCount && pool.waitingCount === 0)
  assert.equal(pool.totalCount, poolSize, "no connection was thrown away")
  assert.ok(works.every(({ listeners }) => listeners.size === 0))
  const { rows } = await sql<{ i: number }>`select i from kept order by i`.execute(db)
  assert.deepEqual(
    rows.map(({ i }) => i),
    [...committed].sort((a, b) => a - b),
  )
})

test("hundreds of clients that hang up at random moments disturb no one else", async (t) => {
  const { url, visitor, db } = await start(
    t,
    (api) => {
      api.get("/slow", open, async () => {
        await api.db.transaction().execute((tx) => sql`select pg_sleep(0.005)`.execute(tx))
        return done
      })
      api.get("/innocent", open, async () => {
        await sql`select pg_sleep(0.001)`.execute(api.db)
        return done
      })
    },
    { DATABASE_POOL_SIZE: "3", DATABASE_CONNECT_TIMEOUT: "60 s", WORKERS_REQUEST_TIMEOUT: "10 min" },
  )
  const wrong: unknown[] = []
  let innocent = 0
  const bystander = async () => {
    innocent++
    const answer = await visitor.get("/api/sample/innocent")
    if (answer.status !== 200) wrong.push(answer.body)
  }
  let left = 300
  const hangUpAll = async () => {
    while (left-- > 0) {
      const { hangUp } = call(`${url}/api/sample/slow`)
      await pause(Math.random() * 12)
      hangUp()
    }
  }
  await whileLooping(2, bystander, () => Promise.all(Array.from({ length: 6 }, hangUpAll)))
  t.diagnostic(`300 hang-ups beside ${innocent} innocent requests: ${wrong.length} hit`)
  assert.deepEqual(wrong, [])
  await takeAll(db, 3)
})

/** Stands between a pool and the server, to lose what the test wants lost. */
async function standBetween(
  t: TestContext,
  address: DatabaseAddress,
): Promise<{ address: DatabaseAddress; server: Server; sockets: Set<Socket> }> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    const { host, port } =
      "url" in address ? { host: readUrl(address.url).hostname, port: Number(readUrl(address.url).port) } : address
    const far = host.startsWith("/") ? connect(`${host}/.s.PGSQL.${port}`) : connect(port, host)
    for (const end of [socket, far]) {
      sockets.add(end)
      end.on("error", () => {})
    }
    socket.pipe(far).pipe(socket)
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  t.after(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  const { port } = server.address() as { port: number }
  if (!("url" in address)) return { address: { ...address, host: "127.0.0.1", port }, server, sockets }
  const url = readUrl(address.url)
  url.host = `127.0.0.1:${port}`
  return { address: { url: url.href }, server, sockets }
}

for (const [how, lose] of [
  ["is refused", (server: Server) => void server.close()],
  [
    "is never answered",
    (server: Server) =>
      void server.removeAllListeners("connection").on("connection", (socket) => socket.on("error", () => {})),
  ],
] as const) {
  test(`a connection whose cancel ${how} is thrown away`, async (t) => {
    const eyes = await openScratch(t, 2)
    const between = await standBetween(t, eyes.address)
    const settings = { connectTimeoutMs: 60_000, statementTimeoutMs: 0, idleInTransactionTimeoutMs: 0 }
    const { db, pool, close } = openDatabase(
      between.address,
      { ...settings, poolSize: 1, preparedStatements: true, logSql: false },
      new Log("error"),
    )
    t.after(close)
    await eyes.db.connection().execute(async (holder) => {
      await sql`select pg_advisory_lock(7)`.execute(holder)
      const work = new Work()
      const query = runIn(work, () => sql`select pg_advisory_lock_shared(7)`.execute(db))
      const waits = async () =>
        (await sql`select from pg_locks where locktype = 'advisory' and not granted`.execute(holder)).rows.length > 0
      await until(waits, tryLongMs)
      lose(between.server)
      work.callOff()
      await sql`select pg_advisory_unlock(7)`.execute(holder)
      await query
    })
    await until(() => pool.totalCount === 0, tryLongMs)
  })
}
