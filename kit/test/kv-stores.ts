/** What the suite of the key-value store runs on: PostgreSQL and Redis. What only one can do wrong stands in files of its own. */
import { after, type TestContext, test } from "node:test"
import { databaseSettings } from "../src/cli/database.ts"
import { loadConfig } from "../src/core/config/index.ts"
import { Log } from "../src/core/log.ts"
import { openDatabase } from "../src/db/database.ts"
import { ledgersOf } from "../src/db/migrations.ts"
import { openRedis } from "../src/db/redis.ts"
import { createTestDatabase } from "../src/db/test-database.ts"
import { openStore, type Store } from "../src/store/store.ts"
import { noRedis, startRedis } from "./redis.ts"

const log = new Log("error")
const config = loadConfig({ folder: "/nonexistent", env: {} })

/** Two stores on one place, as two processes have them, each with connections of its own. */
interface Stores {
  kv: Store
  other: Store
  /** Cuts the connections that tell of new items. */
  cutListeners(): Promise<void>
}

async function onPostgres(t: TestContext): Promise<Stores> {
  const place = await createTestDatabase(await ledgersOf("/nonexistent"))
  const databases = [1, 2].map(() => openDatabase(place.address, databaseSettings(config), log))
  const [kv, other] = databases.map((database) => openStore({ database, log })) as [Store, Store]
  t.after(async () => {
    for (const store of [kv, other]) store.close()
    for (const database of databases) await database.close()
    await place.drop()
  })
  return {
    kv,
    other,
    async cutListeners() {
      const listeners = `select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and query like 'listen %'`
      while ((await databases[0]!.pool.query(listeners)).rowCount === 0);
    },
  }
}

const redis = noRedis ? undefined : await startRedis({ after })
let tests = 0

async function onRedis(t: TestContext): Promise<Stores> {
  const { url } = redis!
  const prefix = `test-${++tests}:`
  const connections = [await openRedis(url, prefix, log), await openRedis(url, prefix, log)]
  const [kv, other] = connections.map((redis) => openStore({ database: undefined as never, redis, log })) as [
    Store,
    Store,
  ]
  t.after(async () => {
    for (const store of [kv, other]) store.close()
    for (const connection of connections) await connection.close()
  })
  return {
    kv,
    other,
    async cutListeners() {
      while ((await connections[0]!.client.client("KILL", "TYPE", "PUBSUB")) === 0);
    },
  }
}

/** A test of both. */
export function both(name: string, work: (stores: Stores, t: TestContext) => Promise<void>): void {
  test(`${name}, in PostgreSQL`, async (t) => work(await onPostgres(t), t))
  test(`${name}, in Redis`, { skip: noRedis }, async (t) => work(await onRedis(t), t))
}

/** Asks until the answer is there; the test's time-out is the limit. */
export async function until<T>(ask: () => Promise<T>, isThere: (answer: T) => boolean): Promise<T> {
  for (;;) {
    const answer = await ask()
    if (isThere(answer)) return answer
    // Others have their turn.
    await new Promise(setImmediate)
  }
}

export const isGone = (answer: unknown) => answer === undefined
