/**
 * Schemas as others should see them. OpenAPI 3.1 takes JSON Schema as it is; what is left to do is to say in the schema what
 * the server does besides it: who sets a field, what may be left out, what is refused.
 */
import type { TSchema } from "typebox"
import { isReadonly } from "../core/schema.ts"

export type JsonSchema = Record<string, unknown>

/** Writes a description for where it will stand. */
type Describe = (text: string) => string
const asItIs: Describe = (text) => text

/** What a client sends in a body: without read-only fields, closed, and free to leave out what has a default. */
export const bodySchema = (schema: TSchema, describe = asItIs): JsonSchema =>
  publish(schema, { use: "body", describe }) as JsonSchema

/** What a client gets. */
export const replySchema = (schema: TSchema, describe = asItIs): JsonSchema =>
  publish(schema, { use: "reply", describe }) as JsonSchema

/** What a client writes into a path, a query or a header. */
export const textSchema = (schema: TSchema, describe = asItIs): JsonSchema =>
  publish(schema, { use: "text", describe }) as JsonSchema

type Use = "body" | "reply" | "text"
interface Reading {
  use: Use
  describe: Describe
}

/** Keywords whose value is a schema, a list of schemas, or schemas by name. */
const one = new Set(["items", "additionalProperties", "contains", "else", "if", "not", "propertyNames", "then"])
const many = new Set(["allOf", "anyOf", "oneOf", "prefixItems"])
const named = new Set(["$defs", "dependentSchemas", "patternProperties"])

function publish(schema: unknown, reading: Reading, isPart = false): unknown {
  const { use, describe } = reading
  if (typeof schema !== "object" || schema === null) return schema
  if (Array.isArray(schema)) return schema.map((item) => publish(item, reading))
  const published: JsonSchema = {}
  for (const [key, value] of Object.entries(schema)) {
    if (key === "description") published[key] = describe(String(value))
    else if (key === "properties") published[key] = publishProperties(value as Record<string, TSchema>, reading)
    else if (key === "required") published[key] = requiredOf(schema as TSchema, use)
    else if (one.has(key)) published[key] = publish(value, reading)
    else if (many.has(key)) published[key] = (value as unknown[]).map((item) => publish(item, reading, key === "allOf"))
    else if (named.has(key)) published[key] = mapValues(value as JsonSchema, (item) => publish(item, reading))
    else if (!key.startsWith("~")) published[key] = value
  }
  if (Array.isArray(published.required) && published.required.length === 0) delete published.required
  // As the validator closes bodies: see http/validation.ts.
  if (use === "body" && !isPart) {
    if (published.properties) published.additionalProperties ??= false
    if (published.allOf) published.unevaluatedProperties ??= false
  }
  return published
}

function publishProperties(properties: Record<string, TSchema>, reading: Reading): JsonSchema {
  const kept = Object.entries(properties).filter(([, property]) => reading.use !== "body" || !isReadonly(property))
  return Object.fromEntries(
    kept.map(([name, property]) => {
      const published = publish(property, reading) as JsonSchema
      return [name, isReadonly(property) ? { ...published, readOnly: true } : published]
    }),
  )
}

/** The names that must be there: a request may leave out what has a default, and what is read-only. */
export function requiredOf(schema: TSchema, use: Use): string[] {
  const { required = [], properties = {} } = schema as { required?: string[]; properties?: Record<string, TSchema> }
  if (use === "reply") return required
  return required.filter((name) => {
    const property = properties[name]
    return !property || !("default" in property || (use === "body" && isReadonly(property)))
  })
}

/** Text for a place that OpenAPI reads as CommonMark: `Map<string>` is shown as it is written, and no tag is made of it. */
export const markdown = (text: string): string =>
  text
    .split(/(`[^`]*`)/)
    .map((piece, i) => (i % 2 === 1 ? piece : piece.replaceAll("<", "\\<")))
    .join("")

const mapValues = (object: JsonSchema, map: (value: unknown) => unknown): JsonSchema =>
  Object.fromEntries(Object.entries(object).map(([name, value]) => [name, map(value)]))
