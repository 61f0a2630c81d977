// @together
/** One key in several requests at once, over several servers, and over connections that break: it is done once. */
import assert from "node:assert/strict"
import http from "node:http"
import { text } from "node:stream/consumers"
import { type TestContext, test } from "node:test"
import { setTimeout as pause } from "node:timers/promises"
import type { FastifyRequest } from "fastify"
import { type Routes, sql, Type } from "trestle"
import { createApiKey } from "../src/auth/api-keys.ts"
import { ledgersOf } from "../src/db/migrations.ts"
import { createTestDatabase } from "../src/db/test-database.ts"
import { until } from "./embedded/scratch.ts"
import { openEyes } from "./outages.ts"
import { sampleApp } from "./sample/app.ts"
import { type ServeOptions, serveOn } from "./serve-on.ts"
import { commitWaits, makeCommitsWait } from "./slow-commits.ts"
import { openWire } from "./wire.ts"

const usual = {
  role: "editor",
  idempotent: true,
  schema: { body: Type.Any(), response: { 200: Type.Any() } },
} as const

const insert = ({ tx }: FastifyRequest) => sql`insert into kept default values`.execute(tx)

/** Inserts a row, and says its number. */
const plainRoutes: Routes = (api) => {
  api.post("/", usual, async ({ tx }) => {
    const { rows } = await sql`insert into kept default values returning i`.execute(tx)
    return rows[0]
  })
}

/** A database with a table, on which servers can be started, and whoever calls them. */
async function open(t: TestContext) {
  const { address, drop } = await createTestDatabase(await ledgersOf(sampleApp(() => {}).folder))
  const { db, close } = openEyes(address)
  t.after(async () => {
    await close()
    await drop()
  })
  await sql`create table kept (i serial)`.execute(db)
  const { token } = await createApiKey(db, { role: "editor", name: "robot" })
  const post = async (url: string, body: object, key = "k") => {
    const headers = { "x-api-key": token, "content-type": "application/json", "idempotency-key": key }
    const response = await fetch(`${url}/api/sample`, { method: "POST", headers, body: JSON.stringify(body) })
    return { status: response.status, text: await response.text(), headers: response.headers }
  }
  return {
    address,
    db,
    token,
    post,
    rows: async () => (await sql`select from kept`.execute(db)).rows.length,
    serve: (routes: Routes, options?: ServeOptions, at = address) => serveOn(t, sampleApp(routes), at, options),
  }
}

test("while a request is in flight its key is taken, in every process, and free when it failed", async (t) => {
  const { post, rows, serve } = await open(t)
  let begun = Promise.withResolvers<void>()
  let end = Promise.withResolvers<boolean>()
  const routes: Routes = (api) => {
    api.post("/", usual, async (request) => {
      await insert(request)
      begun.resolve()
      if (!(await end.promise)) throw new Error("failed")
      return { done: true }
    })
  }
  const [one, two] = [await serve(routes), await serve(routes)]
  for (const isGood of [false, true]) {
    begun = Promise.withResolvers()
    end = Promise.withResolvers()
    const first = post(one.url, { a: 1 })
    await begun.promise
    for (const { url } of [one, two]) {
      for (const body of [{ a: 1 }, { a: 2 }]) {
        const { status, text, headers } = await post(url, body)
        assert.equal(status, 409)
        assert.equal(headers.get("retry-after"), "1")
        assert.match(text, /is being answered\. Ask again when it is done/)
      }
    }
    end.resolve(isGood)
    assert.equal((await first).status, isGood ? 200 : 500)
  }
  for (const { url } of [two, one]) {
    const again = await post(url, { a: 1 })
    assert.deepEqual([again.status, again.headers.get("idempotency-replayed")], [200, "true"])
    assert.equal((await post(url, { a: 2 })).status, 422)
  }
  assert.equal(await rows(), 1)
})

test("who asks again at once, when it was done, is in nobody's way", async (t) => {
  const { post, rows, serve } = await open(t)
  const { url } = await serve(plainRoutes)
  await post(url, { a: 1 })
  const answers = await Promise.all(Array.from({ length: 60 }, (_, i) => post(url, { a: i % 3 ? 1 : 2 })))
  assert.deepEqual(
    answers.map(({ status }) => status),
    answers.map((_, i) => (i % 3 ? 200 : 422)),
  )
  assert.equal(await rows(), 1)
})

/** Sends each key ten times, all of them at once; says what was answered besides the one answer of each key. */
async function tenTimesEach(keys: number, post: (key: string) => Promise<{ status: number; text: string }>) {
  const answers = new Map<string, Set<string>>()
  const done = new Map(Array.from({ length: keys }, (_, i) => [`key-${i}`, Promise.withResolvers<void>()]))
  const others: number[] = []
  const send = async (key: string): Promise<void> => {
    const { status, text } = await post(key)
    if (status !== 200) {
      others.push(status)
      // It fails only when another one has done it, or is about to.
      await done.get(key)!.promise
      return send(key)
    }
    done.get(key)!.resolve()
    answers.set(key, (answers.get(key) ?? new Set()).add(text))
  }
  await Promise.all(Array.from({ length: 10 * keys }, (_, i) => send(`key-${Math.floor(i / 10)}`)))
  assert.equal(answers.size, keys)
  assert.ok([...answers.values()].every((its) => its.size === 1))
  assert.equal(new Set([...answers.values()].flatMap((its) => [...its])).size, keys)
  return others
}

test("1,000 requests at once with 100 keys, on two servers, do 100 things, and each key has one answer", async (t) => {
  const { post, rows, serve } = await open(t)
  const env = { DATABASE_CONNECT_TIMEOUT: "60 s" }
  const servers = [await serve(plainRoutes, { env }), await serve(plainRoutes, { env })]
  let sent = 0
  const others = await tenTimesEach(100, (key) => post(servers[sent++ % 2]!.url, {}, key))
  t.diagnostic(`${others.length} times 409 on the way`)
  assert.ok(others.every((status) => status === 409))
  assert.equal(await rows(), 100)
})

test("a database that isolates more by default does nothing twice either", async (t) => {
  const { db, post, rows, serve } = await open(t)
  const { rows: named } = await sql<{ name: string }>`select current_database() as name`.execute(db)
  await sql`alter database ${sql.ref(named[0]!.name)} set default_transaction_isolation = 'repeatable read'`.execute(db)
  const { url } = await serve(plainRoutes, { env: { DATABASE_CONNECT_TIMEOUT: "60 s" } })
  const others = await tenTimesEach(50, (key) => post(url, {}, key))
  t.diagnostic(`${others.filter((status) => status === 500).length} times 500 on the way`)
  assert.ok(others.every((status) => status === 409 || status === 500))
  assert.equal(await rows(), 50)
})

test("with one connection for all nothing waits for itself", async (t) => {
  const { post, rows, serve } = await open(t)
  const { url } = await serve(plainRoutes, {
    env: { DATABASE_POOL_SIZE: "1", DATABASE_CONNECT_TIMEOUT: "60 s" },
  })
  const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => post(url, {}, `key-${i % 5}`)))
  assert.ok(answers.every(({ status }) => status === 200))
  assert.equal(await rows(), 5)
})

test("a handler that wants a second connection where there is none is ended with its time", async (t) => {
  const { post, rows, serve } = await open(t)
  let isWrong = true
  const routes: Routes = (api) => {
    api.post("/", usual, async (request) => {
      await insert(request)
      Object.assign(request.work, { deadline: isWrong ? 0 : Infinity })
      if (isWrong) await sql`select 1`.execute(api.db)
      return {}
    })
  }
  const { url } = await serve(routes, { env: { DATABASE_POOL_SIZE: "1", DATABASE_CONNECT_TIMEOUT: "60 s" } })
  assert.equal((await post(url, {})).status, 503)
  isWrong = false
  assert.equal((await post(url, {})).status, 200)
  assert.equal(await rows(), 1)
})

test("hundreds of requests that are hung up on, fail or take too long at random are done once in the end", async (t) => {
  const { token, rows, serve } = await open(t)
  const routes: Routes = (api) => {
    api.post("/", usual, async (request) => {
      const { rows } = await sql`insert into kept default values returning i`.execute(request.tx)
      const luck = Math.random()
      if (luck < 0.1) throw new Error("bad luck")
      if (luck < 0.2) Object.assign(request.work, { deadline: 0 })
      if (luck < 0.15) await new Promise(() => {})
      await sql`select pg_sleep(${luck / 200})`.execute(request.tx)
      return rows[0]
    })
  }
  const { url, pool } = await serve(routes, {
    env: { DATABASE_POOL_SIZE: "5", DATABASE_CONNECT_TIMEOUT: "60 s", WORKERS_REQUEST_TIMEOUT: "2 s" },
  })
  const statuses = new Map<string, number>()
  /** Sends it once, and perhaps hangs up; undefined without an answer. */
  const send = (key: string) =>
    new Promise<string | undefined>((resolve) => {
      const headers = { "x-api-key": token, "content-type": "application/json", "idempotency-key": key }
      const request = http.request(`${url}/api/sample`, { method: "POST", headers, agent: false }, async (response) => {
        const answer = await text(response).catch(() => undefined)
        count(String(response.statusCode))
        resolve(response.statusCode === 200 ? answer : undefined)
      })
      request.on("error", () => {
        count("hung up")
        resolve(undefined)
      })
      request.end("{}")
      if (Math.random() < 0.3) setTimeout(() => request.destroy(), Math.random() * 12)
    })
  const count = (what: string) => void statuses.set(what, (statuses.get(what) ?? 0) + 1)
  const answers = new Map<number, string>()
  let next = 0
  const client = async () => {
    while (next < 300) {
      const n = next++
      for (let answer: string | undefined; answer === undefined; ) {
        answer = await send(`key-${n}`)
        if (answer === undefined) await pause(10)
        else answers.set(n, answer)
      }
      const again = await send(`key-${n}`)
      if (again !== undefined) assert.equal(again, answers.get(n))
    }
  }
  await Promise.all(Array.from({ length: 8 }, client))
  t.diagnostic([...statuses].map(([what, times]) => `${times} times ${what}`).join(", "))
  await until(() => pool.idleCount === pool.totalCount && pool.waitingCount === 0)
  assert.equal(new Set(answers.values()).size, 300)
  assert.equal(await rows(), 300)
})

test("who asks again after a connection broke, before the commit or in it, finds it done once", async (t) => {
  const { address, db, post, rows, serve } = await open(t)
  await makeCommitsWait(db)
  const wire = await openWire(t, address)
  let isCut = true
  const routes: Routes = (api) => {
    api.post("/", usual, async (request) => {
      const { when } = request.body as { when: string }
      await insert(request)
      if (isCut && when === "before") wire.cut()
      if (isCut && when === "in") await sql`insert into slow values (1)`.execute(request.tx)
      return {}
    })
  }
  const { url, pool } = await serve(routes, {}, wire.address)
  /** Asks again until it is not said to be in flight: PostgreSQL must notice that the connection is gone. */
  const again = async (when: string) => {
    for (;;) {
      const { status } = await post(url, { when }, when)
      if (status !== 409) return status
    }
  }
  assert.equal((await post(url, { when: "before" }, "before")).status, 503)
  isCut = false
  assert.equal(await again("before"), 200)
  assert.equal(await rows(), 1)

  isCut = true
  await db.connection().execute(async (holder) => {
    await sql`select pg_advisory_lock(1)`.execute(holder)
    const first = post(url, { when: "in" }, "in")
    await until(() => commitWaits(holder))
    wire.cut()
    assert.equal((await first).status, 503)
    await sql`select pg_advisory_unlock(1)`.execute(holder)
  })
  isCut = false
  assert.equal(await again("in"), 200)
  assert.equal(await rows(), 2)
  await until(() => pool.idleCount === pool.totalCount)
})
