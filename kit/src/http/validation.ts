/**
 * Checks requests against the schemas of their route. A body is taken as it is: read-only fields are dropped, unknown ones
 * refused, nothing coerced. Query and path arrive as text and are read as what the schema says, strictly.
 */
import { type TObject, type TSchema, Type } from "typebox"
import { Compile } from "typebox/compile"
import { Value } from "typebox/value"
import { badRequest, type Fault, notFound } from "../core/errors.ts"
import { isOptional, isReadonly } from "../core/schema.ts"
import { didYouMean } from "../core/suggest.ts"

type Part = "body" | "query" | "params" | "headers"
type Check = (value: unknown) => { value: unknown } | { error: Error }

/** Fastify's validator compiler. */
export const compileValidator = ({ schema, httpPart }: { schema: TSchema; httpPart?: string }): Check => {
  const part = httpPart === "querystring" ? "query" : (httpPart as Part)
  return part === "body" ? bodyCheck(schema) : textCheck(schema, part)
}

function bodyCheck(schema: TSchema): Check {
  const closed = close(schema)
  const validator = Compile(closed)
  const withDefaults = hasDefault(closed)
  return (body) => {
    const value = dropReadonly(schema, body)
    const complete = withDefaults ? Value.Default(closed, value) : value
    return validator.Check(complete) ? { value: complete } : { error: refusal("body", closed, complete, validator) }
  }
}

function textCheck(schema: TSchema, part: Part): Check {
  const validator = Compile(schema)
  const withDefaults = hasDefault(schema)
  return (text) => {
    const read = readObject(schema, text as Record<string, unknown>)
    const value = withDefaults ? Value.Default(schema, read) : read
    return validator.Check(value) ? { value } : { error: refusal(part, schema, value, validator) }
  }
}

/** The schema of a body as it is checked: without read-only properties, and closed where it does not say otherwise. */
function close(schema: TSchema): TSchema {
  if (Type.IsObject(schema)) {
    const properties = Object.entries(schema.properties).flatMap(([name, property]) => {
      if (isReadonly(property)) return []
      const inner = close(property)
      return [[name, isOptional(property) ? Type.Optional(inner) : inner]]
    })
    return Type.Object(Object.fromEntries(properties), { additionalProperties: false, ...optionsOf(schema) })
  }
  // Made anew by their makers, since TypeBox knows its kinds by marks that a copy would lose.
  if (Type.IsArray(schema)) return Type.Array(close(schema.items), optionsOf(schema))
  if (Type.IsUnion(schema)) return Type.Union(schema.anyOf.map(close), optionsOf(schema))
  if (Type.IsIntersect(schema))
    return Type.Intersect(schema.allOf, { unevaluatedProperties: false, ...optionsOf(schema) })
  return schema
}

/** What a schema says besides its structure, such as `minItems` or `description`. */
function optionsOf(schema: TSchema): Record<string, unknown> {
  const { type, properties, required, items, anyOf, allOf, ...options } = schema as unknown as Record<string, unknown>
  return options
}

function dropReadonly(schema: TSchema, value: unknown): unknown {
  if (Type.IsArray(schema) && Array.isArray(value)) return value.map((item) => dropReadonly(schema.items, item))
  if (!Type.IsObject(schema) || typeof value !== "object" || value === null || Array.isArray(value)) return value
  const kept: Record<string, unknown> = {}
  for (const [name, item] of Object.entries(value)) {
    const property = schema.properties[name]
    if (!property) kept[name] = item
    else if (!isReadonly(property)) kept[name] = dropReadonly(property, item)
  }
  return kept
}

const hasDefault = (schema: TSchema): boolean => JSON.stringify(schema).includes('"default":')

/** Reads each value of a query or a path as its schema says; what cannot be read stays text, and the check refuses it. */
function readObject(schema: TSchema, text: Record<string, unknown>): Record<string, unknown> {
  const value: Record<string, unknown> = { ...text }
  if (!Type.IsObject(schema)) return value
  for (const [name, property] of Object.entries(schema.properties)) {
    if (name in value) value[name] = readText(property, value[name])
  }
  return value
}

function readText(schema: TSchema, text: unknown): unknown {
  if (Type.IsArray(schema)) return (Array.isArray(text) ? text : [text]).map((item) => readText(schema.items, item))
  if (typeof text !== "string") return text
  // PostgreSQL takes a uuid in any case, and writes it in lower case: one spelling, or comparisons fail.
  if (Type.IsString(schema) && (schema as { format?: string }).format === "uuid") return text.toLowerCase()
  if (Type.IsInteger(schema)) return /^-?\d{1,15}$/.test(text) ? Number(text) : text
  if (Type.IsNumber(schema)) return /^-?\d{1,15}(\.\d{1,15})?$/.test(text) ? Number(text) : text
  if (Type.IsBoolean(schema)) return text === "true" ? true : text === "false" ? false : text
  if (Type.IsLiteral(schema) && typeof schema.const !== "string")
    return text === String(schema.const) ? schema.const : text
  if (Type.IsUnion(schema)) {
    for (const variant of schema.anyOf) {
      const value = readText(variant, text)
      if (value !== text) return value
    }
  }
  return text
}

interface Invalid {
  keyword: string
  schemaPath: string
  instancePath: string
  message: string
  params: object
}
interface Validator {
  Errors(value: unknown): Invalid[]
}

function refusal(part: Part, schema: TSchema, value: unknown, validator: Validator): Error {
  // A path that no resource can have leads nowhere: 404, as for one that might and does not.
  if (part === "params") return notFound("resource")
  // TypeBox stops at eight: a client mends the first ones, and a hostile body must not make a long answer.
  const errors = validator.Errors(value).flatMap((error) => faultsOf(error, part, schema, value))
  return badRequest(errors.map(({ at, message }) => `${at} ${message}`).join(" "), { errors })
}

/** The longest name of a field that is said back, in characters. */
const nameAtMost = 100

function faultsOf(
  { keyword, schemaPath, instancePath, message, params }: Invalid,
  part: Part,
  schema: TSchema,
  value: unknown,
): Fault[] {
  const names = Object.values(params).flat() as string[]
  const unknown = (pointer: string): Fault => {
    const slash = pointer.lastIndexOf("/")
    const known = Object.keys(schemaAt(schema, pointer.slice(0, slash))?.properties ?? {})
    const name = pointer.slice(slash + 1)
    if (name.length > nameAtMost)
      return { at: `${part}${pointer.slice(0, slash + nameAtMost)}…`, message: "is unknown." }
    return { at: part + pointer, message: `is unknown.${didYouMean(name, known)}` }
  }
  switch (keyword) {
    case "boolean": // each unknown property by itself; "additionalProperties" sums them up again
      return schemaPath.endsWith("/additionalProperties")
        ? [unknown(instancePath)]
        : [{ at: part + instancePath, message }]
    case "additionalProperties":
      return []
    case "unevaluatedProperties":
      return names.map((name) => unknown(`${instancePath}/${name}`))
    case "required":
      return names.map((name) => ({ at: `${part}${instancePath}/${name}`, message: "is missing." }))
    default:
      // In a query, what is given twice is read as a list.
      if (part === "query" && Array.isArray(valueAt(value, instancePath)))
        return [{ at: part + instancePath, message: "is given more than once." }]
      return [{ at: part + instancePath, message: `${message}.` }]
  }
}

/** What a JSON Pointer of one step leads to. */
const valueAt = (value: unknown, pointer: string): unknown => (value as Record<string, unknown>)[pointer.slice(1)]

/** The object schema that a JSON Pointer into a value leads to. */
function schemaAt(schema: TSchema, pointer: string): TObject | undefined {
  let found: TSchema | undefined = schema
  for (const step of pointer.split("/").slice(1)) {
    if (found && Type.IsArray(found)) found = found.items
    else if (found && Type.IsObject(found)) found = found.properties[step]
    else return undefined
  }
  return found && Type.IsObject(found) ? found : undefined
}
