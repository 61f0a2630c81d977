/** Sizes as people write them, with their unit. */

const units: Record<string, number> = {
  B: 1,
  kB: 1000,
  MB: 1000 ** 2,
  GB: 1000 ** 3,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
}

/** What {@link parseSize} accepts, as error messages say it. */
export const sizeExpected = `a size with its unit (${Object.keys(units).join(", ")}), such as "500 kB" or "1 MB"`

/**
 * Bytes, whole, of a text such as `"1 MB"` (1,000,000) or `"1 MiB"` (1,048,576).
 * @throws TypeError whose message says what is expected, without the text that came
 */
export function parseSize(text: string): number {
  const [, amount, unit] = /^(\d+(?:\.\d+)?) ?([A-Za-z]*)$/.exec(text) ?? []
  const factor = unit && Object.hasOwn(units, unit) ? units[unit] : undefined
  if (amount && factor) return Math.round(Number(amount) * factor)
  throw new TypeError(amount && !unit ? `${sizeExpected} (add the unit)` : sizeExpected)
}
