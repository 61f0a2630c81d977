// @together
/** Where sessions are kept: one contract, in PostgreSQL and in Redis. */
import assert from "node:assert/strict"
import { randomBytes, randomUUID } from "node:crypto"
import { type TestContext, test } from "node:test"
import { sql } from "kysely"
import { createAccount } from "../src/auth/accounts.ts"
import { postgresSessions } from "../src/auth/postgres-sessions.ts"
import { redisSessions } from "../src/auth/redis-sessions.ts"
import { formerTokenMs, type Session, type Sessions } from "../src/auth/sessions.ts"
import { databaseSettings } from "../src/cli/database.ts"
import { loadConfig } from "../src/core/config/index.ts"
import { Log } from "../src/core/log.ts"
import { openDatabase } from "../src/db/database.ts"
import { ledgersOf } from "../src/db/migrations.ts"
import { openRedis } from "../src/db/redis.ts"
import { createTestDatabase } from "../src/db/test-database.ts"
import { noRedis, startRedis } from "./redis.ts"

interface Store {
  sessions: Sessions
  /** Makes somebody whose sessions they can be. */
  user(): Promise<string>
  /** Lets the time pass that a session, or the token before the last, still has. */
  expire(what: "session" | "former", session: Session): Promise<void>
}

async function postgresStore(t: TestContext): Promise<Store> {
  const database = await createTestDatabase(await ledgersOf("/nonexistent"))
  const settings = databaseSettings(loadConfig({ folder: "/nonexistent", env: {} }))
  const { db, close } = openDatabase(database.address, settings, new Log("error"))
  t.after(async () => {
    await close()
    await database.drop()
  })
  const column = { session: "expires", former: "former_until" }
  return {
    sessions: postgresSessions(db),
    async user() {
      const names = { first_name: "Anna", last_name: "Miller" }
      const row = await createAccount(db, {
        email: `${randomUUID()}@a.example`,
        password: null,
        role: "editor",
        ...names,
      })
      return row!.id
    },
    async expire(what, { id }) {
      await sql`update trestle.sessions set ${sql.ref(column[what])} = now() where id = ${id}`.execute(db)
    },
  }
}

async function redisStore(t: TestContext): Promise<Store> {
  const { url } = await startRedis(t)
  const redis = await openRedis(url, "test:", new Log("error"))
  t.after(() => redis.close())
  return {
    sessions: redisSessions(redis.client, redis.prefix),
    user: async () => randomUUID(),
    async expire(what, { id }) {
      const current = await redis.client.hget(`test:session:${id}`, "hash")
      const tokens: string[] = []
      for (const key of await redis.client.keys("test:token:*")) {
        if ((await redis.client.get(key)) === id) tokens.push(key)
      }
      const keys = tokens.filter((key) => key.endsWith(`:${current}`) === (what === "session"))
      for (const key of keys) assert.ok((await redis.client.pttl(key)) > 0)
      if (what === "former") for (const key of keys) assert.ok((await redis.client.pttl(key)) <= formerTokenMs)
      await redis.client.del(...keys, ...(what === "session" ? [`test:session:${id}`] : []))
    },
  }
}

function both(name: string, run: (store: Store) => Promise<void>): void {
  test(`${name} (PostgreSQL)`, async (t) => run(await postgresStore(t)))
  test(`${name} (Redis)`, { skip: noRedis }, async (t) => run(await redisStore(t)))
}

const hash = () => randomBytes(32)
const hour = 3_600_000

function newSession(userId: string, change: Partial<Session> = {}): Session {
  const now = new Date().toISOString().replace("Z", "000Z")
  const expires = new Date(Date.now() + hour).toISOString().replace("Z", "000Z")
  const moments = { created: now, authenticated: now, renewed: now, expires }
  const from = { address: "203.0.113.7", agent: "Browser \u{1f980}" }
  return { id: randomUUID(), userId, kind: "cookie", remember: true, rights: 0, ...moments, ...from, ...change }
}

both("a session is found by the hash of its token, as it was made", async ({ sessions, user }) => {
  const session = newSession(await user(), { remember: false, rights: 7, kind: "token" })
  const own = hash()
  await sessions.add(session, own)
  assert.deepEqual(await sessions.find(own), { session, isFormer: false })
  assert.equal(await sessions.find(hash()), undefined)
})

both("an expired session is nobody's", async ({ sessions, user, expire }) => {
  const session = newSession(await user())
  const own = hash()
  await sessions.add(session, own)
  await sessions.write(session.id, "key", 1)
  await expire("session", session)
  assert.equal(await sessions.find(own), undefined)
  assert.deepEqual(await sessions.list(session.userId), [])
  await sessions.sweep()
  await assert.rejects(sessions.write(session.id, "key", 2), { statusCode: 401 })
})

both("use prolongs a session, its token and its data", async ({ sessions, user }) => {
  const session = newSession(await user())
  const own = hash()
  await sessions.add(session, own)
  await sessions.write(session.id, "key", "value")
  const [renewed, expires] = [new Date(Date.now() + 1000), new Date(Date.now() + 2 * hour)]
  await sessions.renew(session, renewed, expires)
  const found = (await sessions.find(own))!.session
  assert.equal(Date.parse(found.renewed), renewed.getTime())
  assert.equal(Date.parse(found.expires), expires.getTime())
  assert.equal(await sessions.read(session.id, "key"), "value")
})

both("another token takes the place of the first, which works for a moment", async ({ sessions, user, expire }) => {
  const session = newSession(await user())
  const [from, to] = [hash(), hash()]
  await sessions.add(session, from)
  const { authenticated } = newSession("")
  assert.equal(await sessions.rotate(session, { from, to, rights: 1, authenticated, keepsFormer: true }), true)
  assert.deepEqual(await sessions.find(to), { session: { ...session, rights: 1, authenticated }, isFormer: false })
  assert.equal((await sessions.find(from))?.isFormer, true)
  await expire("former", session)
  assert.equal(await sessions.find(from), undefined)
  assert.equal((await sessions.find(to))?.isFormer, false)
})

both("after a new password the former token stops at once", async ({ sessions, user }) => {
  const session = newSession(await user())
  const [from, to] = [hash(), hash()]
  await sessions.add(session, from)
  const { rights, authenticated } = session
  assert.equal(await sessions.rotate(session, { from, to, rights, authenticated, keepsFormer: false }), true)
  assert.equal(await sessions.find(from), undefined)
  assert.equal((await sessions.find(to))?.isFormer, false)
})

both("use that prolongs a session while its token changes does not prolong the former one", async (store) => {
  const { sessions, user, expire } = store
  const userId = await user()
  for (let i = 0; i < 20; i++) {
    const session = newSession(userId)
    const [from, to] = [hash(), hash()]
    await sessions.add(session, from)
    const { rights, authenticated } = session
    const later = new Date(Date.now() + 48 * hour)
    await Promise.all([
      sessions.renew(session, new Date(Date.now() + 1000), later),
      sessions.rotate(session, { from, to, rights, authenticated, keepsFormer: true }),
    ])
    assert.equal(Date.parse((await sessions.find(to))!.session.expires), later.getTime())
    await expire("former", session)
    assert.equal(await sessions.find(from), undefined)
  }
})

both("of many requests that would change the token one does", async ({ sessions, user }) => {
  const session = newSession(await user())
  const from = hash()
  await sessions.add(session, from)
  const tokens = Array.from({ length: 20 }, hash)
  const change = (to: Buffer) =>
    sessions.rotate(session, { from, to, rights: 1, authenticated: session.authenticated, keepsFormer: true })
  const changed = await Promise.all(tokens.map(change))
  assert.equal(changed.filter(Boolean).length, 1)
  const found = await Promise.all(tokens.map((token) => sessions.find(token)))
  assert.deepEqual(
    found.map((one) => one !== undefined),
    changed,
  )
})

both("an account's sessions are listed, ended one by one, or all but one", async ({ sessions, user }) => {
  const [anna, bert] = [await user(), await user()]
  const at = (second: number) => `2026-01-01T00:00:0${second}.000000Z`
  const mine = [1, 2, 3].map((second) => newSession(anna, { created: at(second) }))
  const his = newSession(bert)
  const hashes = new Map([...mine, his].map((session) => [session.id, hash()]))
  for (const session of [...mine, his]) await sessions.add(session, hashes.get(session.id)!)
  assert.deepEqual(await sessions.list(anna), mine.toReversed())

  assert.equal(await sessions.end(anna, his.id), false, "another's")
  assert.equal(await sessions.end(anna, randomUUID()), false)
  assert.equal(await sessions.end(anna, mine[0]!.id), true)
  assert.equal(await sessions.end(anna, mine[0]!.id), false)
  assert.equal(await sessions.find(hashes.get(mine[0]!.id)!), undefined)

  await sessions.endAll(anna, mine[1]!.id)
  assert.deepEqual(await sessions.list(anna), [mine[1]])
  await sessions.endAll(anna)
  assert.deepEqual(await sessions.list(anna), [])
  assert.deepEqual(await sessions.list(bert), [his])
})

both("of more than so many those end that were used longest ago", async ({ sessions, user }) => {
  const [anna, bert] = [await user(), await user()]
  const at = (second: number) => `2026-01-01T00:00:0${second}.000000Z`
  // The first to be made was used last.
  const mine = [1, 2, 3, 4].map((n) => newSession(anna, { created: at(n), renewed: at(n === 1 ? 5 : n) }))
  const hashes = mine.map(hash)
  for (const [i, session] of mine.entries()) await sessions.add(session, hashes[i]!)
  const his = newSession(bert, { created: at(0), renewed: at(0) })
  await sessions.add(his, hash())

  assert.deepEqual(await sessions.keep(anna, 4), [])
  assert.deepEqual(new Set(await sessions.keep(anna, 2)), new Set([mine[1]!.id, mine[2]!.id]))
  assert.deepEqual(await sessions.list(anna), [mine[3], mine[0]])
  assert.equal(await sessions.find(hashes[1]!), undefined)
  assert.deepEqual(await sessions.keep(anna, 2), [])
  assert.deepEqual(await sessions.list(bert), [his])
})

both("data is kept key by key, and goes with the session", async ({ sessions, user }) => {
  const session = newSession(await user())
  await sessions.add(session, hash())
  const values: Record<string, unknown> = { text: "ü\u{1f980}", none: null, zero: 0, list: [1, { a: [] }], no: false }
  await Promise.all(Object.entries(values).map(([key, value]) => sessions.write(session.id, key, value)))
  for (const [key, value] of Object.entries(values)) assert.deepEqual(await sessions.read(session.id, key), value, key)
  await sessions.write(session.id, "text", "other")
  assert.equal(await sessions.read(session.id, "text"), "other")
  await sessions.remove(session.id, "text")
  await sessions.remove(session.id, "text")
  assert.equal(await sessions.read(session.id, "text"), undefined)
  await sessions.end(session.userId, session.id)
  assert.equal(await sessions.read(session.id, "zero"), undefined)
  await assert.rejects(sessions.write(session.id, "zero", 1), { statusCode: 401 })
})
