/** Durations as people write them, with their unit. A bare number is refused: nobody can tell seconds from milliseconds. */

const second = 1000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour

const units = new Map<string, number>([
  ...(["ms", "millisecond", "milliseconds"] as const).map((name) => [name, 1] as const),
  ...(["s", "second", "seconds"] as const).map((name) => [name, second] as const),
  ...(["min", "minute", "minutes"] as const).map((name) => [name, minute] as const),
  ...(["h", "hour", "hours"] as const).map((name) => [name, hour] as const),
  ...(["d", "day", "days"] as const).map((name) => [name, day] as const),
  ...(["week", "weeks"] as const).map((name) => [name, 7 * day] as const),
])

/** What {@link parseDuration} accepts, as error messages say it. */
export const durationExpected = `a duration with its unit, such as "20 seconds", "5 min" or "1.5 hours"`

/**
 * Milliseconds, whole, of a text such as `"30 minutes"`, `"5 s"`, `"250 ms"`, `"1.5 hours"` or `"2 days"`.
 * The units are ms, s, min, h, d and their full names, and weeks. There is no "m": it could be minutes or months.
 * @throws TypeError whose message says what is expected, without the text that came
 */
export function parseDuration(text: string): number {
  const [, amount, unit] = /^(\d+(?:\.\d+)?) ?([a-z]*)$/.exec(text) ?? []
  const factor = units.get(unit ?? "")
  if (amount && factor) return Math.round(Number(amount) * factor)
  throw new TypeError(amount && !unit ? `${durationExpected} (add the unit)` : durationExpected)
}
