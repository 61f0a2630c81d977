/**
 * The store in PostgreSQL. What changes more than one row is a function of the database, made in the migration
 * `002-key-values`: one round trip, and a lock on the key for no longer than that.
 */
import type pg from "pg"
import type { Log } from "../core/log.ts"
import type { Database } from "../db/database.ts"
import { listen } from "../db/listen.ts"
import { type Backend, holdsList, holdsNoNumber, holdsValue, passesLargest } from "./backend.ts"

/** How often what has expired is removed, in milliseconds. It counts for nothing before. */
const sweepEveryMs = 60_000
const sweptAtOnce = 1000

/** The functions of the migration notify on it. */
const channel = "trestle_list_appended"

/** What the functions of the migration raise, in the codes of PostgreSQL's appendix A. */
const wrongObjectType = "42809"
const invalidText = "22P02"
const outOfRange = "22003"

const getText = `
  select value, first is not null as is_list from trestle.key_values
  where key = $1 and (expires is null or expires > now())`

const deleteText = `
  delete from trestle.key_values where key = $1 returning (expires is null or expires > now()) as was_there`

const itemsText = `
  select kept.value is not null as is_value, item.value
  from trestle.key_values kept left join trestle.list_items item on item.key = kept.key
  where kept.key = $1 and (kept.expires is null or kept.expires > now())
  order by item.position limit $2`

const lengthText = `
  select value is not null as is_value, last - first + 1 as length from trestle.key_values
  where key = $1 and (expires is null or expires > now())`

const sweepText = `
  delete from trestle.key_values where key in (
    select key from trestle.key_values where expires <= now() limit ${sweptAtOnce} for update skip locked
  )`

export function postgresBackend({ pool, address }: Database, log: Log): Backend {
  /** Outside of Kysely, whose queries are cancelled with their request: a change of the store runs to its end. */
  async function query<Row extends pg.QueryResultRow>(
    text: string,
    values: unknown[] = [],
  ): Promise<pg.QueryResult<Row>> {
    // A statement gets its name where a connection is asked; the pool's own query passes that by.
    const client = await pool.connect()
    try {
      return await client.query<Row>(text, values)
    } finally {
      client.release()
    }
  }

  /** Calls a function; `wrongKind` says what it means that the key holds the other kind. */
  async function call<T>(name: string, values: unknown[], wrongKind: (key: string) => Error): Promise<T> {
    const key = values[0] as string
    const places = values.map((_, i) => `$${i + 1}`)
    try {
      const { rows } = await query<{ result: T }>(`select trestle.${name}(${places}) as result`, values)
      return rows[0]!.result
    } catch (error) {
      const { code } = error as pg.DatabaseError
      if (code === wrongObjectType) throw wrongKind(key)
      if (code === invalidText) throw holdsNoNumber(key)
      if (code === outOfRange) throw passesLargest(key)
      throw error
    }
  }

  const sweep = async () => {
    while ((await query(sweepText)).rowCount === sweptAtOnce);
  }
  const timer = setInterval(
    () => void sweep().catch((error: Error) => log.warn(`Expired keys were not removed: ${error.message}`)),
    sweepEveryMs,
  ).unref()

  return {
    async get(key) {
      const { rows } = await query<{ value: string; is_list: boolean }>(getText, [key])
      if (rows[0]?.is_list) throw holdsList(key)
      return rows[0]?.value
    },
    async delete(key) {
      const { rows } = await query<{ was_there: boolean }>(deleteText, [key])
      return rows[0]?.was_there ?? false
    },
    set: (key, text, lifetime) => call("kv_set", [key, text, lifetime], holdsList),
    async increment(key, by, lifetime) {
      return Number(await call("kv_increment", [key, by, lifetime], holdsList))
    },
    async swap(key, text, lifetime) {
      return (await call<string | null>("kv_swap", [key, text, lifetime], holdsList)) ?? undefined
    },
    async append(list, text, max, lifetime) {
      return Number(await call("kv_append", [list, text, max, lifetime], holdsValue))
    },
    async pop(list) {
      return (await call<string | null>("kv_pop", [list], holdsValue)) ?? undefined
    },
    putBack: (list, text) => call("kv_put_back", [list, text], holdsValue),
    async items(list, limit) {
      const { rows } = await query<{ is_value: boolean; value: string }>(itemsText, [list, limit])
      if (rows[0]?.is_value) throw holdsValue(list)
      return rows.map(({ value }) => value)
    },
    async length(list) {
      const { rows } = await query<{ is_value: boolean; length: string }>(lengthText, [list])
      if (rows[0]?.is_value) throw holdsValue(list)
      return Number(rows[0]?.length ?? 0)
    },
    listen: (heard) => listen(address, channel, heard),
    close: () => clearInterval(timer),
  }
}
