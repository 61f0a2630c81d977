/** The store, opened: checks what it is given, turns values into JSON and back, and waits for items. */
import type { Log } from "../core/log.ts"
import { currentScope } from "../core/scope.ts"
import type { Database } from "../db/database.ts"
import type { OpenRedis } from "../db/redis.ts"
import { checkCount, checkKey, checkStep, lifetimeMs, toText, waitMs } from "./arguments.ts"
import type { Backend } from "./backend.ts"
import type { AppendOptions, ItemsOptions, Kv, Lifetime, PopOptions } from "./kv.ts"
import { postgresBackend } from "./postgres.ts"
import { redisBackend } from "./redis.ts"
import { Waiters } from "./waiters.ts"

export interface StoreOptions {
  database: Database
  /** Where the store is kept, instead of in the database. */
  redis?: OpenRedis | undefined
  log: Log
}

/** Opens the store. It connects when it is needed, and closes neither the database nor Redis. */
export const openStore = ({ database, redis, log }: StoreOptions): Store =>
  new Store(redis ? redisBackend(redis) : postgresBackend(database, log.for("store")))

/** The store with its end. See {@link Kv} for what it does. */
export class Store implements Kv {
  private readonly backend: Backend
  private readonly waiters: Waiters
  private isClosed = false

  constructor(backend: Backend) {
    this.backend = backend
    this.waiters = new Waiters((heard) => backend.listen(heard))
  }

  async get<T>(key: string): Promise<T | undefined> {
    return toValue<T>(await this.at(key).get(key))
  }

  async set(key: string, value: unknown, { expires }: Lifetime = {}): Promise<void> {
    await this.at(key).set(key, toText(key, value), lifetimeMs(expires))
  }

  async delete(key: string): Promise<boolean> {
    return this.at(key).delete(key)
  }

  async increment(key: string, by = 1, { expires }: Lifetime = {}): Promise<number> {
    checkStep(by)
    return this.at(key).increment(key, by, lifetimeMs(expires))
  }

  async swap<T>(key: string, value: T, { expires }: Lifetime = {}): Promise<T | undefined> {
    return toValue<T>(await this.at(key).swap(key, toText(key, value), lifetimeMs(expires)))
  }

  async append(list: string, item: unknown, { max, expires }: AppendOptions = {}): Promise<number> {
    checkCount("max", max)
    return this.at(list).append(list, toText(list, item), max, lifetimeMs(expires))
  }

  async pop<T>(list: string, { wait }: PopOptions = {}): Promise<T | undefined> {
    const backend = this.at(list)
    const ms = waitMs(wait)
    const take = () => takeFrom(backend, list)
    return toValue<T>((await take()) ?? (ms > 0 ? await this.waiters.wait(list, ms, take) : undefined))
  }

  async peek<T>(list: string): Promise<T | undefined> {
    return toValue<T>((await this.at(list).items(list, 1))[0])
  }

  async items<T>(list: string, { limit }: ItemsOptions = {}): Promise<T[]> {
    checkCount("limit", limit)
    return (await this.at(list).items(list, limit)).map((text) => JSON.parse(text))
  }

  async length(list: string): Promise<number> {
    return this.at(list).length(list)
  }

  /** Lets no pop wait any more: a server that stops should not wait for those who wait. All else goes on. */
  stopWaiting(): void {
    this.waiters.close()
  }

  /** Ends all waits; later calls fail. May be called again. */
  close(): void {
    this.isClosed = true
    this.waiters.close()
    this.backend.close()
  }

  private at(key: string): Backend {
    checkKey(key)
    if (this.isClosed) throw new Error("The store is closed.")
    return this.backend
  }
}

function toValue<T>(text: string | undefined): T | undefined {
  return text === undefined ? undefined : JSON.parse(text)
}

/** Takes an item for work that is still wanted. */
async function takeFrom(backend: Backend, list: string): Promise<string | undefined> {
  const scope = currentScope()
  if (scope?.abortReason) throw scope.abortReason
  const text = await backend.pop(list)
  if (text === undefined || !scope?.abortReason) return text
  await backend.putBack(list, text)
  throw scope.abortReason
}
