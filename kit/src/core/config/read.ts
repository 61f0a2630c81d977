/** Turns what a source gives for a setting into a checked value. */
import { IsCodec, type TSchema } from "typebox"
import { Check } from "typebox/schema"

/** The JSON Schema words that settings use. */
export interface Words {
  type?: string
  anyOf?: TSchema[]
  enum?: unknown[]
  const?: unknown
  items?: TSchema
  properties?: Record<string, TSchema>
  patternProperties?: Record<string, TSchema>
  required?: string[]
  default?: unknown
}

/** A value that its schema refuses. */
export class Mismatch extends Error {
  /** Where inside the setting, as in `[2].name`; empty for the setting itself. */
  readonly at: string
  /** What should be there. */
  readonly schema: TSchema
  /** What came there, undefined where nothing did; it may be secret. */
  readonly came: unknown
  /** What was expected, more precisely, to follow "must be"; it may quote what came. */
  readonly told: string | undefined

  constructor(at: string, schema: TSchema, came: unknown, told?: string) {
    super("A value does not fit its schema.")
    this.at = at
    this.schema = schema
    this.came = came
    this.told = told
  }
}

/**
 * The value that the program gets: checked, defaults filled in, durations and the like decoded.
 * @throws Mismatch
 */
export const read = (schema: TSchema, value: unknown): unknown => readAt(schema, withDefaults(schema, value), "")

/**
 * The JSON value that a text from the environment stands for, as far as the schema can say; else the text, which the
 * check will refuse. Strict: "12abc" is no number, and "yes" no boolean.
 */
export function fromText(schema: TSchema, text: string): unknown {
  const words: Words = schema
  if (words.anyOf) {
    const values = words.anyOf.map((variant) => [variant, fromText(variant, text)] as const)
    return values.find(([variant, value]) => Check(variant, value))?.[1] ?? text
  }
  const allowed = words.enum ?? (words.const === undefined ? undefined : [words.const])
  if (allowed) return allowed.find((value) => String(value) === text) ?? text
  switch (words.type) {
    case "boolean":
      if (text === "true" || text === "1") return true
      return text === "false" || text === "0" ? false : text
    case "integer":
    case "number":
      return /^-?\d+(?:\.\d+)?$/.test(text) ? Number(text) : text
    case "array":
      return /^\s*\[/.test(text) ? fromJson(text) : listItems(text, words.items)
    case "object":
      return fromJson(text)
    default:
      return text
  }
}

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

function readAt(schema: TSchema, value: unknown, at: string): unknown {
  const { anyOf, items, properties, patternProperties }: Words = schema
  if (anyOf) return readVariant(schema, anyOf, value, at)
  // What is inside comes first: its message says more than one about the whole.
  let inner = value
  if (items && Array.isArray(value)) inner = value.map((item, index) => readAt(items, item, `${at}[${index}]`))
  else if ((properties || patternProperties) && isObject(value)) inner = readObject(schema, value, at)
  if (!Check(schema, value)) throw new Mismatch(at, schema, value)
  if (!IsCodec(schema)) return inner
  try {
    return schema["~codec"].decode(inner)
  } catch (error) {
    throw new Mismatch(at, schema, value, (error as Error).message)
  }
}

function readVariant(schema: TSchema, variants: TSchema[], value: unknown, at: string): unknown {
  for (const variant of variants) {
    try {
      return readAt(variant, value, at)
    } catch (error) {
      if (!(error instanceof Mismatch)) throw error
    }
  }
  throw new Mismatch(at, schema, value)
}

function readObject(schema: TSchema, value: Record<string, unknown>, at: string): unknown {
  const { properties = {}, patternProperties = {}, required = [] }: Words = schema
  for (const name of required) {
    if (!Object.hasOwn(value, name)) throw new Mismatch(`${at}.${name}`, properties[name] ?? {}, undefined)
  }
  const patterns = Object.entries(patternProperties)
  const entries = Object.entries(value).map(([name, item]) => {
    const pattern = patterns.find(([pattern]) => new RegExp(pattern).test(name))
    const property = Object.hasOwn(properties, name) ? properties[name] : pattern?.[1]
    const known = Object.keys(properties).join(", ")
    if (!property) throw new Mismatch(`${at}.${name}`, schema, item, `left out (known here: ${known})`)
    return [name, readAt(property, item, `${at}.${name}`)] as const
  })
  // fromEntries defines; an assignment to "__proto__" would change the prototype.
  return Object.fromEntries(entries)
}

/** The value with what is missing inside it, as in an object of a list. */
function withDefaults(schema: TSchema, value: unknown): unknown {
  const { items, properties }: Words = schema
  if (items && Array.isArray(value)) return value.map((item) => withDefaults(items, item))
  if (!properties || !isObject(value)) return value
  const entries = new Map(Object.entries(value))
  for (const [name, property] of Object.entries(properties)) {
    const inner = entries.has(name) ? entries.get(name) : (property as Words).default
    if (inner !== undefined) entries.set(name, withDefaults(property, inner))
  }
  return Object.fromEntries(entries)
}

function fromJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

function listItems(text: string, items: TSchema = {}): unknown[] {
  const parts = text.split(",").map((part) => part.trim())
  return parts.filter((part) => part !== "").map((part) => fromText(items, part))
}
