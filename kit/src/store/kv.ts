/**
 * The key-value store, as handlers see it: small things that are not worth a table, shared by all processes. It is kept in
 * Redis when REDIS_URL is set and in PostgreSQL otherwise; both do the same, and one suite of tests holds them to it.
 *
 * Each call is atomic and stands alone: it is no part of a transaction of `db`, so it stays when that is rolled back, and it
 * runs to its end when its request is called off, except that a waiting {@link Kv.pop} ends. A call that fails because the
 * store did not answer may have been carried out or not. Then, and when there is no connection, the client gets 503.
 *
 * A key is 1 to 500 characters. It holds one value or one list, never both: a call for the other kind is a TypeError and
 * changes nothing. Values are what JSON can hold, 1 MB (1,000,000 bytes as JSON) at most; a `Date` comes back as a string.
 */

/** How long a key lives. */
export interface Lifetime {
  /**
   * From now, as in `"10 minutes"`, or a number of milliseconds; 1 ms to 100 years. Without it the key stays until it is
   * deleted. What has expired is gone at once, for every process.
   */
  expires?: string | number | undefined
}

export interface AppendOptions extends Lifetime {
  /** How many items the list may have, 1 at least: beyond that the oldest are dropped. Without it the list grows for ever. */
  max?: number | undefined
}

export interface PopOptions {
  /**
   * How long to wait for an item when there is none, as in `"20 seconds"`, or a number of milliseconds; 24 days at most. The
   * wait also ends with the request, see `timeout` on the route. Default: not at all.
   */
  wait?: string | number | undefined
}

export interface ItemsOptions {
  /** How many to return, oldest first. Default: all, so give one for a list that has no `max`. */
  limit?: number | undefined
}

/**
 * Values under keys, and lists. The type of what is read is what the caller says; nothing checks it.
 * @example
 * await kv.set("greeting", { text: "Hello" }, { expires: "10 minutes" })
 * const greeting = await kv.get<{ text: string }>("greeting") // undefined ten minutes later
 */
export interface Kv {
  /** The value, or undefined where there is none. null is a value. */
  get<T = unknown>(key: string): Promise<T | undefined>
  /**
   * Sets the value, whatever it was before; an expiry that it had is gone unless a new one is given.
   * @throws TypeError for undefined and for what JSON would lose, such as a function, a Map, NaN or a cycle
   * @throws RangeError for more than 1 MB
   */
  set<T>(key: string, value: T, options?: Lifetime): Promise<void>
  /** Removes the value, or the whole list. True when there was one. */
  delete(key: string): Promise<boolean>
  /**
   * Adds to a whole number and returns the new one; a key that is not there counts as 0. The expiry counts from the creation,
   * later calls leave it: a counter with `{ expires: "1 minute" }` begins anew every minute.
   * @param by a whole number, negative to subtract; default 1
   * @throws TypeError when the value is no whole number; it stays as it is
   * @throws RangeError when the result would be beyond ±(2^53 - 1), where JavaScript counts no more; the value stays
   */
  increment(key: string, by?: number, options?: Lifetime): Promise<number>
  /**
   * Sets the value as {@link Kv.set} does and returns the one before: of all who swap at the same time, each gets another's.
   * @example const isFirst = (await kv.swap("reindexing", true, { expires: "1 hour" })) === undefined
   */
  swap<T = unknown>(key: string, value: T, options?: Lifetime): Promise<T | undefined>

  /**
   * Adds an item at the end of a list, makes the list if need be, and returns its length. `expires` counts anew for the whole
   * list; without it the list keeps the expiry that it has.
   */
  append<T>(list: string, item: T, options?: AppendOptions): Promise<number>
  /**
   * Takes the oldest item out of a list; undefined when there is none. Each item goes to one caller, over all processes, and is
   * lost when that one dies before it is done: work that must be done belongs into a table.
   * @throws the reason when the request was called off; an item that was taken in that moment is put back
   */
  pop<T = unknown>(list: string, options?: PopOptions): Promise<T | undefined>
  /** The oldest item, which stays; undefined when there is none. */
  peek<T = unknown>(list: string): Promise<T | undefined>
  /** The items, oldest first; none for a list that is not there. */
  items<T = unknown>(list: string, options?: ItemsOptions): Promise<T[]>
  /** How many items there are; 0 for a list that is not there. */
  length(list: string): Promise<number>
}
