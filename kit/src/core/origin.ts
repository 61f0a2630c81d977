/** Origins, as browsers send them: scheme, host and port. */

/** What {@link parseOrigin} accepts, as error messages say it. */
export const originExpected = 'an origin such as "https://example.com" or "http://localhost:3000", or "*"'

/**
 * Reads an origin in the form that browsers send (RFC 6454: lower case, no default port, nothing after the port), which it
 * will be compared with byte by byte. `"*"` and `"null"` pass as they are.
 * @throws TypeError whose message says what to write instead
 */
export function parseOrigin(text: string): string {
  if (text === "*" || text === "null") return text
  const origin = originOf(text)
  if (origin === undefined) throw new TypeError(originExpected)
  if (origin.includes("*")) throw new TypeError(`${originExpected} (patterns are not taken: name each origin)`)
  if (origin !== text.toLowerCase()) throw new TypeError(`an origin: write "${origin}"`)
  return origin
}

function originOf(text: string): string | undefined {
  const hasScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(text)
  const guess = /^(localhost|127\.|\[)/i.test(text) ? "http" : "https"
  const url = URL.parse(hasScheme ? text : `${guess}://${text.replace(/^\/\//, "")}`)
  if (!url?.host) return undefined
  // Schemes that the web did not make, such as capacitor://localhost, have no origin for URL, and one for browsers.
  return url.origin === "null" ? `${url.protocol}//${url.host}` : url.origin
}
