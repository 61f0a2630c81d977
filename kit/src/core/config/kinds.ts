/**
 * The kinds of settings that JSON Schema has no word for. Each is an ordinary TypeBox schema: the file and the
 * environment hold a text, and the loaded configuration a checked value (`Type.Decode`).
 */
import { Type } from "typebox"
import { durationExpected, parseDuration } from "../duration.ts"
import { parseSize, sizeExpected } from "./size.ts"

/** What can be said of a setting besides its type. */
export interface SettingOptions {
  /** What it does, its unit, and why the default is what it is. Markdown, for the table in the documentation. */
  description?: string
  /** The value when nobody sets it, as it would stand in `config.json`. Without one the setting must be given, unless it is `Type.Optional`. */
  default?: unknown
  /** Never shown in messages. Names such as `password`, `token` or `api_key` are secret without it. */
  secret?: boolean
  /** The environment variable, where it is not the key's path in capitals. */
  env?: string
  /** What is expected, in words, where the schema would say it clumsily: "a host name or an address". */
  expected?: string
}

/** What {@link Duration} takes besides. */
export interface DurationOptions extends SettingOptions {
  /** The shortest allowed. Default "1 ms", because zero means "none" here and "for ever" there. */
  minimum?: string
  /** The longest allowed. Default "24 days": Node's timers fire at once beyond 24.8, and PostgreSQL's refuse it. */
  maximum?: string
}

/** A duration: `"20 seconds"` in the file, 20000 (milliseconds) in the loaded configuration. */
export function Duration(options: DurationOptions = {}) {
  const { minimum = "1 ms", maximum = "24 days", ...rest } = options
  const [least, most] = [parseDuration(minimum), parseDuration(maximum)]
  return Type.Decode(Type.String({ expected: durationExpected, ...rest }), (text) => {
    const ms = parseDuration(text)
    if (ms < least || ms > most) throw new TypeError(`a duration from ${minimum} to ${maximum}`)
    return ms
  })
}

/** A size: `"1 MB"` in the file, 1000000 (bytes) in the loaded configuration. */
export function Size(options: SettingOptions = {}) {
  return Type.Decode(Type.String({ expected: sizeExpected, ...options }), parseSize)
}

/**
 * A URL with one of the given protocols, secret by default because it may carry a password.
 * @example Url(["redis", "rediss"], { description: "Where Redis is." })
 */
export function Url(protocols: readonly string[], options: SettingOptions = {}) {
  const begins = new RegExp(`^(?:${protocols.join("|")})://`)
  const beginnings = protocols.map((protocol) => `${protocol}://`).join(" or ")
  const expected = `a URL that begins with ${beginnings}, special characters escaped ("#" in a password is %23)`
  return Type.Decode(Type.String({ secret: true, expected, ...options }), (text) => {
    if (begins.test(text) && isReadable(text)) return text
    throw new TypeError(expected)
  })
}

/** Says whether a URL can be taken apart. An empty host behind a user, as in `postgres://me@/db?host=/run`, is fine for pg. */
function isReadable(text: string): boolean {
  const url = URL.parse(text.replace("@/", "@localhost/"))
  if (!url) return false
  try {
    decodeURIComponent(url.username + url.password + url.pathname)
    return true
  } catch {
    return false
  }
}
