/**
 * Hides secrets before they reach a log: values by the name that they stand under, in objects, URLs and plain text. What
 * it costs is bounded by what it may print, however large, deep or tangled the value is.
 */
import { copyWith } from "./mask-copy.ts"

/** What stands in the place of a secret. */
export const masked = "***"

/** The longest that the parameters of a request, or one field of a line, are printed, in characters. */
export const printedAtMost = 1000

export interface Mask {
  /** Whether values under this name are secrets. */
  isSecret(name: string): boolean
  /** The URL without user, password and the values of secret parameters. */
  url(url: string): string
  /** Text that somebody else put together, as the message of an error: without what looks like `name=secret`. */
  text(text: string): string
  /** A plain copy to print, cut at about `printedAtMost` characters. */
  copy(value: unknown): unknown
  /** {@link Mask.copy} as JSON, cut at `printedAtMost` characters. */
  json(value: unknown): string
}

/** Makes a mask; `more` are names besides the usual ones: `credit_card` also stands for creditCard and Credit-Card. */
export function createMask(more: readonly string[] = []): Mask {
  const isSecret = nameTest(more)
  // Most texts have nothing of the kind, and are looked at once.
  const mayHide =
    more.length > 0
      ? /[=:]|bearer|trk_|whsec_/i
      : /p(?:ass|wd)|secret|token|key|auth|cookie|credential|jwt|signature|bearer|trk_|whsec_|:\/\//i
  const text = (text: string) => (mayHide.test(text) ? maskText(text, isSecret) : text)
  const url = (url: string) => (mayHide.test(url) || /[%@]/.test(url) ? maskUrl(url, isSecret) : cut(url))
  const copy = (value: unknown) => copyWith({ isSecret, url, text, masked }, value, printedAtMost)
  const json = (value: unknown) => cut(JSON.stringify(copy(value)) ?? "undefined")
  return { isSecret, url, text, copy, json }
}

const cut = (text: string) => (text.length > printedAtMost ? `${text.slice(0, printedAtMost)}…` : text)

/** Names are compared by their letters and digits, so that `x-api-key`, `X_API_KEY` and `xApiKey` are one. */
const squashed = (name: string) => name.toLowerCase().replace(/[^a-z0-9]/g, "")
const alwaysSecret = /passw(or)?d|passphrase|pwd|token|secret|authorization|cookie|credential|jwt|signature|key$/

/** A name as its words: `userPin`, `user_pin` → `-user-pin-`, so that a name `pin` does not hide `shipping`. */
const inWords = (name: string) =>
  `-${name
    .replace(/([a-z0-9])([A-Z])/g, "$1-$2")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")}-`

/** Names repeat, but their number is up to the clients. */
const namesRemembered = 1000
const longestName = 100

function nameTest(more: readonly string[]): (name: string) => boolean {
  const extraNames = new Set(more.map(squashed).filter(Boolean))
  const extraWords = more.map(inWords).filter((words) => words !== "--")
  const known = new Map<string, boolean>()
  const test = (name: string) => {
    const plain = squashed(name)
    if (alwaysSecret.test(plain) || extraNames.has(plain)) return true
    return extraWords.length > 0 && extraWords.some((words) => inWords(name).includes(words))
  }
  return (name) => {
    // The end counts as well as the beginning, since a name that ends in "key" is a secret.
    if (name.length > longestName) return test(name.slice(0, longestName)) || test(name.slice(-longestName))
    let secret = known.get(name)
    if (secret === undefined) {
      if (known.size >= namesRemembered) known.clear()
      secret = test(name)
      known.set(name, secret)
    }
    return secret
  }
}

function maskUrl(url: string, isSecret: (name: string) => boolean): string {
  // Our own keys are known wherever they stand.
  let shown = cut(url).replace(ownToken, `$1$2${masked}`)
  if (shown.includes("//")) shown = shown.replace(/(^|:)\/\/[^/?#&\s]*@/g, `$1//${masked}@`)
  if (!shown.includes("=")) return shown
  return shown.replace(/([?&;#])([^=?&;#]+)=([^?&;#]*)/g, (pair, mark, name: string, value: string) => {
    const plain = decoded(name)
    // `user[password]` and `key[0]`: each part of the name is one.
    const secret = isSecret(plain) || (/[[\].]/.test(plain) && plain.split(/[[\].]+/).some(isSecret))
    if (secret) return `${mark}${name}=${masked}`
    // A value may be a URL or a query itself, encoded.
    const inner = decoded(value)
    return inner !== value && hidesSecret(inner, isSecret) ? `${mark}${name}=${masked}` : pair
  })
}

/** Whether a decoded value has a password of a URL, or a secret parameter. */
const hidesSecret = (text: string, isSecret: (name: string) => boolean) =>
  userInfo.test(text) || [...text.matchAll(/([\w.-]+)=/g)].some((match) => isSecret(match[1]!))

/** Decodes what a name may hide, `pass%77ord`, and never fails: only letters count afterwards. */
const decoded = (name: string) =>
  name.includes("%")
    ? name.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    : name

/** A name, what closes its quotes, and a sign that a value follows; backslashes where JSON stands inside JSON. */
const pair = /(?<![\w-])([\w-]+)\\*["'`]?\]?\s{0,2}(?:=>|=|:)\s{0,2}/g
/** The keys that we hand out begin so, and secrets of webhooks; they are known wherever they stand. */
const ownToken = /\b(?:(trk_)[\w-]{16,}|(whsec_)[\w+/]{16,}=*)/g
const bearer = /\b(Bearer)\s+[\w.~+/=-]+/gi
const userInfo = /:\/\/[^/?#\s"'`]*@/

function maskText(text: string, isSecret: (name: string) => boolean): string {
  let shown = text
  if (shown.includes("://")) shown = shown.replace(new RegExp(userInfo, "g"), `://${masked}@`)
  if (/trk_|whsec_/.test(shown)) shown = shown.replace(ownToken, `$1$2${masked}`)
  shown = shown.replace(bearer, `$1 ${masked}`)

  let result = ""
  let done = 0
  for (const match of shown.matchAll(pair)) {
    const name = match[1]!
    // The name of an error, such as TokenError, is followed by its message.
    if (match.index < done || !isSecret(name) || /(error|exception)$/i.test(name)) continue
    const from = match.index + match[0].length
    const to = valueEnd(shown, from, name)
    if (to === from) continue
    result += shown.slice(done, from) + masked
    done = to
  }
  return done === 0 ? shown : result + shown.slice(done)
}

/** Where the value that begins at `from` ends. */
function valueEnd(text: string, from: number, name: string): number {
  const lineEnd = text.indexOf("\n", from)
  const end = lineEnd < 0 ? text.length : lineEnd
  const quote = /^\\*["'`]/.exec(text.slice(from, from + 20))?.[0]
  if (quote) {
    let at = text.indexOf(quote, from + quote.length)
    // A quote inside the value has one backslash more than the one that ends it.
    while (at > 0 && text[at - 1] === "\\") at = text.indexOf(quote, at + quote.length)
    return at < 0 ? text.length : at + quote.length
  }
  // A placeholder of SQL is no value.
  if (/^(\$\d|\?|\*\*\*)/.test(text.slice(from, from + 3))) return from
  // A header's value may have several words, a list or an object has its own signs.
  if (/[[{]/.test(text[from] ?? "") || /authorization|cookie/i.test(name)) return end
  const stop = text.slice(from, end).search(/[\s,;&)\]}"'`<>]/)
  return stop < 0 ? end : from + stop
}
