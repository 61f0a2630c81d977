/** What PostgreSQL and Redis each do for the store: texts under keys, and lists of texts. Arguments have been checked. */

/** How long a key lives, in milliseconds; undefined for ever. */
export type LifetimeMs = number | undefined

export interface Backend {
  get(key: string): Promise<string | undefined>
  set(key: string, text: string, lifetime: LifetimeMs): Promise<void>
  delete(key: string): Promise<boolean>
  increment(key: string, by: number, lifetime: LifetimeMs): Promise<number>
  swap(key: string, text: string, lifetime: LifetimeMs): Promise<string | undefined>
  append(list: string, text: string, max: number | undefined, lifetime: LifetimeMs): Promise<number>
  pop(list: string): Promise<string | undefined>
  /** Makes an item that was popped the oldest again. */
  putBack(list: string, text: string): Promise<void>
  items(list: string, limit: number | undefined): Promise<string[]>
  length(list: string): Promise<number>
  /**
   * Calls `heard` with the name of a list when it was empty and got an item, and without a name when that may have been missed
   * for any list. Returns what ends it. Whoever listens looks from time to time all the same: hearing may be cut.
   */
  listen(heard: (list?: string) => void): () => void
  /** Ends what the backend does by itself. It does not close the database or Redis. */
  close(): void
}

/** The largest number that a counter reaches. */
export const largest = Number.MAX_SAFE_INTEGER

export const holdsList = (key: string) =>
  new TypeError(`The key "${key}" holds a list, not a value. Delete it first, or take another key.`)

export const holdsValue = (key: string) =>
  new TypeError(`The key "${key}" holds a value, not a list. Delete it first, or take another key.`)

export const holdsNoNumber = (key: string) =>
  new TypeError(`The value of "${key}" is no whole number, so it cannot be incremented. It is as it was.`)

export const passesLargest = (key: string) =>
  new RangeError(`The value of "${key}" would pass ±${largest}, beyond which JavaScript cannot count. It is as it was.`)
