/**
 * The pool below a database, for prepared queries: with nothing left to compile, Kysely only costs (a tenth of a query). A
 * transaction, or a database with plugins, is another object and has none.
 */
import type { PoolClient } from "pg"

interface ConnectionSource {
  connect(): Promise<PoolClient>
}

const pools = new WeakMap<object, ConnectionSource>()

export const rememberPool = (db: object, pool: ConnectionSource): void => void pools.set(db, pool)

export const poolBelow = (db: object): ConnectionSource | undefined => pools.get(db)
