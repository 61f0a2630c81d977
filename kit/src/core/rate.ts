/** Rates as people write them: so many in a time. */
import { parseDuration } from "./duration.ts"

export interface Rate {
  /** How many. */
  limit: number
  /** In which time, in milliseconds. */
  windowMs: number
}

/** Processes that share a limit need part of a second to agree on who has the rest of it; and headers count in seconds. */
const leastWindowMs = 1000

/** What {@link parseRate} accepts, as error messages say it. */
export const rateExpected = 'a rate such as "100/minute", "5/second" or "1000/15 minutes", over a second or more'

/**
 * Reads `"100/minute"`, `"5/s"` or `"1000/15 minutes"`: a whole number from 1, and a duration, from a second, whose number may be
 * left out.
 * @throws TypeError whose message says what is expected
 */
export function parseRate(text: string): Rate {
  const [, count, time = ""] = /^([1-9]\d{0,8}) ?\/ ?(.+)$/.exec(text) ?? []
  const windowMs = windowOf(time)
  if (!count || !windowMs || windowMs < leastWindowMs) throw new TypeError(rateExpected)
  return { limit: Number(count), windowMs }
}

function windowOf(time: string): number | undefined {
  try {
    return parseDuration(/^\d/.test(time) ? time : `1 ${time}`)
  } catch {
    return undefined
  }
}
