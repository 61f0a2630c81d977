/** Schemas and values in words, for error messages. */
import type { TSchema } from "typebox"
import type { Words } from "./read.ts"

/**
 * What a value must be, to follow "must be": "a whole number from 0 to 65535".
 * @param asText the value stands in the environment, where 1 and 0 are booleans and lists have commas
 */
export function expectedOf(schema: TSchema, asText: boolean): string {
  const words = schema as Words & {
    expected?: string
    minimum?: number
    maximum?: number
    minLength?: number
    maxLength?: number
    minItems?: number
    pattern?: string | RegExp
  }
  if (words.expected) return words.expected
  const allowed = choices(words, asText)
  if (allowed) return allowed.join(", ").replace(/, (?!.*, )/, " or ")
  if (words.anyOf) return words.anyOf.map((variant) => expectedOf(variant, asText)).join(", or ")
  switch (words.type) {
    case "integer":
      return `a whole number${range(words.minimum, words.maximum)}`
    case "number":
      return `a number${range(words.minimum, words.maximum)}`
    case "string":
      if (words.pattern) return `a text that matches ${words.pattern}`
      return `a text${range(words.minLength || undefined, words.maxLength, " characters")}`
    case "array":
      return `a list${asText ? " (with commas, or in JSON)" : ""}${range(words.minItems, undefined, " items")}`
    case "object":
      return asText ? "an object in JSON" : "an object"
    default:
      return "something else"
  }
}

/** A value that is wrong, to follow "but is": at most 60 characters of it, and no password from a URL. */
export function shown(value: unknown, secret: boolean): string {
  if (typeof value === "object" || value === undefined) return kindOf(value)
  if (secret) return typeof value === "string" ? `${value.length} characters (secret, not shown)` : kindOf(value)
  if (typeof value !== "string") return String(value)
  const safe = JSON.stringify(value.replace(/:\/\/\S*@/g, "://…@"))
  return safe.length <= 60 ? safe : `${safe.slice(0, 58)}…"`
}

/** What sort of JSON value it is; it shows nothing of the value itself. */
export function kindOf(value: unknown): string {
  if (value === undefined) return "missing"
  if (value === null) return "null"
  if (Array.isArray(value)) return "a list"
  return { object: "an object", string: "a text", number: "a number" }[typeof value as string] ?? "true or false"
}

function choices(words: Words, asText: boolean): string[] | undefined {
  if (words.enum) return words.enum.map((value) => JSON.stringify(value))
  if (words.const !== undefined) return [JSON.stringify(words.const)]
  if (words.type === "boolean") return asText ? ["true", "false", "1", "0"] : ["true", "false"]
  const variants = words.anyOf?.map((variant) => choices(variant, asText))
  return variants?.every((variant) => variant !== undefined) ? variants.flat() : undefined
}

function range(minimum?: number, maximum?: number, unit = ""): string {
  if (minimum !== undefined && maximum !== undefined) return ` from ${minimum} to ${maximum}${unit}`
  if (minimum !== undefined) return ` of at least ${minimum}${unit}`
  return maximum === undefined ? "" : ` of at most ${maximum}${unit}`
}
