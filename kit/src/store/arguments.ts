/** What may be a key, a value, a duration or a number of items; all else is an error that says what to do. */
import { parseDuration } from "../core/duration.ts"

const keyAtMost = 500
const bytesAtMost = 1_000_000

const day = 24 * 3600_000
/** Beyond 24.8 days Node's timers fire at once. */
const longestWaitMs = 24 * day
const longestLifetimeMs = 100 * 365 * day

export function checkKey(key: unknown): asserts key is string {
  if (typeof key !== "string") throw new TypeError(`A key is a string, not ${key === null ? "null" : typeof key}.`)
  if (key === "") throw new TypeError("A key is not empty.")
  if (key.length > keyAtMost) {
    throw new RangeError(`A key has ${keyAtMost} characters at most, not ${key.length}. Take a hash of what is longer.`)
  }
  // PostgreSQL has no NUL, and what is no Unicode would be the same key as other such strings.
  if (key.includes("\0") || !key.isWellFormed()) throw new TypeError("A key has no NUL and no half characters.")
}

/** The value as JSON. */
export function toText(key: string, value: unknown): string {
  let text: string | undefined
  try {
    // What cannot hold anything else needs no look inside.
    text = typeof value === "string" ? JSON.stringify(value) : JSON.stringify(value, refuseLoss)
  } catch (cause) {
    throw new TypeError(`The value for "${key}" cannot be kept as JSON: ${(cause as Error).message}`, { cause })
  }
  if (text === undefined) throw new TypeError(`The value for "${key}" is undefined. Use delete, or null.`)
  const bytes = Buffer.byteLength(text)
  if (bytes > bytesAtMost) {
    throw new RangeError(
      `The value for "${key}" has ${bytes} bytes as JSON, and ${bytesAtMost} is the most. Keep what is larger in a table.`,
    )
  }
  return text
}

/** `JSON.stringify` calls it for each part; what it would leave out or turn into null or {} in silence is an error. */
function refuseLoss(this: unknown, name: string, part: unknown): unknown {
  const lost =
    typeof part === "function" || typeof part === "symbol"
      ? `a ${typeof part}`
      : typeof part === "number" && !Number.isFinite(part)
        ? String(part)
        : part instanceof Map || part instanceof Set
          ? `a ${part.constructor.name}`
          : // A property that is undefined is one that is not there; an item of an array would become null.
            part === undefined && Array.isArray(this)
            ? "undefined"
            : undefined
  if (lost) throw new TypeError(`${name === "" ? "it" : `"${name}"`} is ${lost}.`)
  return part
}

export const lifetimeMs = (expires: string | number | undefined): number | undefined =>
  expires === undefined ? undefined : milliseconds("expires", expires, longestLifetimeMs, "100 years")

export const waitMs = (wait: string | number | undefined): number =>
  wait === undefined ? 0 : milliseconds("wait", wait, longestWaitMs, "24 days")

function milliseconds(name: string, duration: string | number, most: number, mostText: string): number {
  let ms: number
  try {
    ms = typeof duration === "string" ? parseDuration(duration) : Math.round(duration)
  } catch (cause) {
    throw new TypeError(`${name} is ${(cause as Error).message}, not ${JSON.stringify(duration)}.`, { cause })
  }
  if (ms >= 1 && ms <= most) return ms
  throw new RangeError(`${name} is from 1 ms to ${mostText}, not ${JSON.stringify(duration)}.`)
}

/** `max` and `limit`. */
export function checkCount(name: string, count: number | undefined): void {
  if (count === undefined || (Number.isSafeInteger(count) && count >= 1)) return
  throw new RangeError(`${name} is a whole number from 1, not ${count}.`)
}

export function checkStep(by: unknown): void {
  if (!Number.isSafeInteger(by)) throw new TypeError(`A counter is incremented by a whole number, not ${String(by)}.`)
}
