// @together
/** The transaction of an idempotent route ends with its request, whatever its handler, its client or the time does. */
import assert from "node:assert/strict"
import { once } from "node:events"
import http from "node:http"
import { Readable } from "node:stream"
import { type TestContext, test } from "node:test"
import type { FastifyReply, FastifyRequest } from "fastify"
import { type Routes, sql, Type } from "trestle"
import { testApp } from "trestle/testing"
import { createApiKey } from "../src/auth/api-keys.ts"
import { until } from "./embedded/scratch.ts"
import { sampleApp } from "./sample/app.ts"
import { commitWaits, makeCommitsWait } from "./slow-commits.ts"

const path = "/api/sample"
const schema = { response: { 200: Type.Any(), 404: Type.Any() } }
const usual = { role: "editor", idempotent: true, schema } as const

type Handler = (request: FastifyRequest, reply: FastifyReply) => unknown

/** Ends a request's time now. */
const overdue = ({ work }: FastifyRequest) => void Object.assign(work, { deadline: 0 })

/** An application with a route of this handler. */
async function start(t: TestContext, handler: Handler) {
  let runs = 0
  const routes: Routes = (api) => {
    api.post("/", usual, ((request: FastifyRequest, reply: FastifyReply) => {
      runs++
      return handler(request, reply)
    }) as never)
  }
  const app = await testApp(t, sampleApp(routes), {
    env: { DATABASE_POOL_SIZE: "2", DATABASE_CONNECT_TIMEOUT: "60 s", WORKERS_REQUEST_TIMEOUT: "10 min" },
  })
  const { db, url, as } = app
  await sql`create table kept (i serial)`.execute(db)
  const { token } = await createApiKey(db, { role: "editor", name: "raw" })
  const headers = { "idempotency-key": "k" }
  const count = async (table: string) => (await sql`select from ${sql.table(table)}`.execute(db)).rows.length
  return {
    ...app,
    runs: () => runs,
    post: () => as("editor").post(path, undefined, headers),
    rows: () => count("kept"),
    answers: () => count("trestle.kept_answers"),
    /** A request that the test can hang up. */
    call() {
      const options = { method: "POST", agent: false, headers: { ...headers, "x-api-key": token } }
      const request = http.request(url + path, options)
      request.on("error", () => {})
      request.end()
      return { hangUp: () => void request.destroy() }
    },
    /** Waits until no transaction is open and both connections can be had. */
    async isAtRest() {
      const isOpen = async () =>
        (
          await sql`
            select from pg_stat_activity
            where datname = current_database() and xact_start is not null and pid <> pg_backend_pid()`.execute(db)
        ).rows.length > 0
      await until(async () => !(await isOpen()))
      const both = Promise.withResolvers<void>()
      let taken = 0
      const take = () => db.connection().execute(async () => (++taken === 2 ? both.resolve() : both.promise))
      await Promise.all([take(), take()])
    },
  }
}

const insert = ({ tx }: FastifyRequest) => sql`insert into kept default values`.execute(tx)

for (const [what, answer] of [
  ["a stream", () => Readable.from(["a"])],
  ["a web stream", () => new Blob(["a"]).stream()],
  ["a Response", () => new Response("a")],
] as const) {
  test(`${what} as an answer is refused, and rolled back`, async (t) => {
    const app = await start(t, async (request, reply) => {
      await insert(request)
      return reply.type("text/plain").send(answer())
    })
    for (let i = 0; i < 2; i++) {
      assert.equal((await app.post()).status, 500)
      assert.deepEqual([await app.rows(), await app.answers()], [0, 0])
    }
    assert.ok(
      app.log.some((line) =>
        line.includes("cannot answer with a stream, which could not be kept. Send the whole body"),
      ),
    )
    await app.isAtRest()
  })
}

test("a handler that takes its reply from Fastify is refused, and rolled back", async (t) => {
  const app = await start(t, async (request, reply) => {
    await insert(request)
    reply.hijack()
    reply.raw.end("past")
  })
  assert.equal((await app.post()).status, 500)
  assert.equal(await app.rows(), 0)
  assert.ok(app.log.some((line) => line.includes("cannot answer past Fastify")))
  await app.isAtRest()
})

test("a handler that answers past Fastify is rolled back, and the log says so", async (t) => {
  const app = await start(t, async (request, reply) => {
    await insert(request)
    reply.raw.end("past")
    return "later"
  })
  assert.equal((await app.post()).body, "past")
  await app.isAtRest()
  assert.equal(await app.rows(), 0)
  assert.ok(app.log.some((line) => line.includes("was answered past Fastify, and rolled back")))
})

test("an unknown page that the handler asks for is rolled back", async (t) => {
  const app = await start(t, async (request, reply) => {
    await insert(request)
    reply.callNotFound()
    return reply
  })
  assert.equal((await app.post()).status, 405)
  await app.isAtRest()
  assert.deepEqual([await app.rows(), app.log], [0, []])
})

const handlers: Record<string, Handler> = {
  "returns a value": async (request) => {
    await insert(request)
    return "done"
  },
  "returns what it sends": async (request, reply) => {
    await insert(request)
    return reply.send("done")
  },
  "sends without returning": async (request, reply) => {
    await insert(request)
    reply.send("done")
  },
  "returns nothing": async (request) => void (await insert(request)),
  "sends from a callback": (request, reply) => void insert(request).then(() => reply.send("done")),
  "returns from a callback": (request, reply) => {
    insert(request).then(() => reply.send("done"))
    return reply
  },
}

for (const [how, handler] of Object.entries(handlers)) {
  test(`a handler that ${how} is committed and kept, with its client and without`, async (t) => {
    const begun = Promise.withResolvers<void>()
    const goOn = Promise.withResolvers<void>()
    let waits = false
    const app = await start(t, (request, reply) => {
      if (!waits) return handler(request, reply)
      const closed = new Promise((resolve) => reply.raw.once("close", resolve))
      begun.resolve()
      const later = Promise.all([closed, goOn.promise])
      if (how.includes("callback")) {
        void later.then(() => handler(request, reply))
        return undefined
      }
      return later.then(() => handler(request, reply))
    })
    const first = await app.post()
    assert.equal(first.status, 200)
    assert.equal(first.body, how === "returns nothing" ? undefined : "done")
    assert.equal((await app.post()).headers.get("idempotency-replayed"), "true")
    assert.deepEqual([app.runs(), await app.rows(), await app.answers()], [1, 1, 1])

    await sql`delete from trestle.kept_answers`.execute(app.db)
    waits = true
    const { hangUp } = app.call()
    await begun.promise
    hangUp()
    goOn.resolve()
    await app.isAtRest()
    assert.deepEqual([app.runs(), await app.rows(), await app.answers()], [2, 2, 1])
    await app.isAtRest()
  })
}

for (const [where, getStuck] of Object.entries<(request: FastifyRequest) => Promise<unknown>>({
  "and never ends": () => new Promise(() => {}),
  "in a query, whose error it swallows": ({ tx }) => sql`select pg_sleep(60)`.execute(tx).catch(() => {}),
  "and answers as soon as it is called off": ({ signal }) => once(signal, "abort"),
})) {
  test(`a handler over its time ${where} is rolled back, and its key is free`, async (t) => {
    let isStuck = true
    const app = await start(t, async (request, reply) => {
      await insert(request)
      if (!isStuck) return "done"
      const stuck = getStuck(request)
      overdue(request)
      await stuck
      return reply.header("x-late", "1").send("late")
    })
    const { status, headers, body } = await app.post()
    assert.equal(status, 503)
    assert.match(body.detail, /took too long/)
    assert.equal(headers.get("x-late"), null)
    await app.isAtRest()
    assert.deepEqual([await app.rows(), await app.answers()], [0, 0])
    isStuck = false
    assert.equal((await app.post()).body, "done")
    assert.equal(await app.rows(), 1)
  })
}

test("a request over its time while it commits has one answer, and is rolled back", async (t) => {
  let isSlow = true
  let last: FastifyRequest | undefined
  const app = await start(t, async (request) => {
    last = request
    await insert(request)
    if (isSlow) await sql`insert into slow values (1)`.execute(request.tx)
    return "done"
  })
  await makeCommitsWait(app.db)
  await app.db.connection().execute(async (holder) => {
    await sql`select pg_advisory_lock(1)`.execute(holder)
    const answer = app.post()
    await until(() => commitWaits(holder))
    overdue(last!)
    assert.equal((await answer).status, 503)
    // The cancel is on its way.
    await until(async () => !(await commitWaits(holder)))
    await sql`select pg_advisory_unlock(1)`.execute(holder)
  })
  await app.isAtRest()
  assert.deepEqual([await app.rows(), await app.answers()], [0, 0])
  isSlow = false
  assert.equal((await app.post()).body, "done")
  assert.equal(app.log.length, 1, app.log.join(""))
  assert.match(app.log[0]!, /HARAKIRI/)
})

test("a client that hangs up before there is a connection is served to the end", async (t) => {
  const app = await start(t, async (request) => {
    await insert(request)
    return "done"
  })
  await app.post()
  await app.db.connection().execute((one) =>
    app.db.connection().execute(async () => {
      const closed = Promise.withResolvers<void>()
      app.server.server.once("request", (_request, response) => response.once("close", closed.resolve))
      const { hangUp } = app.call()
      await until(() => app.server.requests.inFlight > 0)
      hangUp()
      await closed.promise
      await sql`delete from kept`.execute(one)
    }),
  )
  await until(async () => (await app.rows()) > 0)
  await app.isAtRest()
  assert.equal(app.runs(), 2)
})

test("a handler that never ends holds nothing when its client is gone and its time is up", async (t) => {
  const begun = Promise.withResolvers<void>()
  const aborted = Promise.withResolvers<unknown>()
  const app = await start(t, async (request, reply) => {
    await insert(request)
    request.signal.addEventListener("abort", () => aborted.resolve(request.signal.reason))
    reply.raw.prependOnceListener("close", () => overdue(request))
    begun.resolve()
    await new Promise(() => {})
  })
  const { hangUp } = app.call()
  await begun.promise
  hangUp()
  assert.match(String(await aborted.promise), /took too long/)
  await app.isAtRest()
  assert.equal(await app.rows(), 0)
  assert.equal(app.log.length, 1, app.log.join(""))
  assert.match(app.log[0]!, /took too long after its client had hung up, and was rolled back/)
})
