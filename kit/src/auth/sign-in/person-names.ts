/** Names as providers have them, as accounts take them. */

/** As long as a name of an account may be. */
const longest = 100

/** A name without what cannot be stored or shown; empty for what is none. */
const clean = (name: unknown): string =>
  typeof name === "string"
    ? [
        ...name
          .toWellFormed()
          .replace(/\p{Cc}/gu, " ")
          .replace(/\s+/g, " ")
          .trim(),
      ]
        .slice(0, longest)
        .join("")
        .trim()
    : ""

/** First and last name; where there is only the whole, the first word and the rest. Either may be empty. */
export function firstAndLast(first: unknown, last: unknown, whole: unknown): { firstName: string; lastName: string } {
  if (clean(first) || clean(last)) return { firstName: clean(first), lastName: clean(last) }
  const [word = "", ...rest] = (typeof whole === "string" ? whole : "").trim().split(/\s+/)
  return { firstName: clean(word), lastName: clean(rest.join(" ")) }
}
