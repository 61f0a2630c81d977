/**
 * Control characters, and the line and direction marks of Unicode: with them a value from outside could begin a line of
 * its own, drive the terminal of whoever reads the log, or turn what stands beside it around.
 */
const eachUnsafe = /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu

const short: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" }

/** Most texts are plain, which is seen several times faster. */
const beyondPlain = /[^ -~]/

/** Writes them out: `\n`, `\x1b`, `\u2028`. */
export const escapeControls = (text: string): string =>
  beyondPlain.test(text) ? text.replace(eachUnsafe, written) : text

function written(character: string): string {
  const code = character.charCodeAt(0).toString(16)
  return short[character] ?? (code.length <= 2 ? `\\x${code.padStart(2, "0")}` : `\\u${code.padStart(4, "0")}`)
}

/** The same for JSON, which knows only `\u` for what `JSON.stringify` leaves as it is. */
export const escapeInJson = (json: string): string =>
  beyondPlain.test(json)
    ? json.replace(eachUnsafe, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`)
    : json
