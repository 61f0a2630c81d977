/** What goes in and comes out of an endpoint, in the words of the list: its fields by name, type and limits. */
import type { Endpoint } from "./endpoints.ts"
import { bodySchema, type JsonSchema, replySchema, textSchema } from "./schemas.ts"

/** One thing that a client may send. */
export interface Field {
  place: "path" | "query" | "header" | "body"
  /** Inside another one as in `address.city`, in a list as in `tags[].name`. */
  name: string
  type: string
  isRequired: boolean
  /** What its value must be like, as in "1 to 200 characters". */
  limits: string
  description: string | undefined
}

/** How deep the fields of a body are listed. */
const depth = 4

/** All that an endpoint takes. */
export function fieldsOf({ template, params, query, headers, body }: Endpoint): Field[] {
  const inPath = params ? propertiesOf(textSchema(params)) : {}
  return [
    ...[...template.matchAll(/\{([^}]+)\}/g)].map(([, name]) => field("path", name!, inPath[name!] ?? {}, true)),
    ...(query ? inside("query", textSchema(query), "", 1) : []),
    ...(headers ? inside("header", textSchema(headers), "", 1) : []),
    ...(body ? bodyFields(bodySchema(body)) : []),
  ]
}

function bodyFields(schema: JsonSchema): Field[] {
  const fields = inside("body", schema, "", depth)
  return fields.length > 0 ? fields : [field("body", "(all)", schema, true)]
}

function inside(place: Field["place"], schema: JsonSchema, prefix: string, levels: number): Field[] {
  if (levels === 0) return []
  if (Array.isArray(schema.allOf)) return schema.allOf.flatMap((part) => inside(place, part, prefix, levels))
  const required = new Set((schema.required as string[] | undefined) ?? [])
  return Object.entries(propertiesOf(schema)).flatMap(([key, property]) => {
    const name = prefix + key
    const [inner, mark] = property.type === "array" ? [(property.items ?? {}) as JsonSchema, "[]"] : [property, ""]
    return [field(place, name, property, required.has(key)), ...inside(place, inner, `${name}${mark}.`, levels - 1)]
  })
}

const field = (place: Field["place"], name: string, schema: JsonSchema, isRequired: boolean): Field => ({
  place,
  name,
  type: typeOf(schema) || "string",
  isRequired,
  limits: limitsOf(schema),
  description: schema.description as string | undefined,
})

const propertiesOf = (schema: JsonSchema) => (schema.properties ?? {}) as Record<string, JsonSchema>

function typeOf(schema: JsonSchema): string {
  if ("const" in schema) return JSON.stringify(schema.const)
  if (Array.isArray(schema.enum)) return schema.enum.map((value) => JSON.stringify(value)).join(" | ")
  const variants = (schema.anyOf ?? schema.oneOf) as JsonSchema[] | undefined
  if (variants) return [...new Set(variants.map(typeOf))].join(" | ")
  if (schema.type === "array") {
    const item = typeOf((schema.items ?? {}) as JsonSchema)
    return item.includes(" ") ? `(${item})[]` : `${item || "any"}[]`
  }
  if (schema.allOf) return "object"
  return String(schema.format ?? schema.type ?? "")
}

function limitsOf(schema: JsonSchema): string {
  return [
    range(schema.minLength, schema.maxLength, " characters"),
    range(schema.minimum, schema.maximum, ""),
    range(schema.minItems, schema.maxItems, " items"),
    schema.exclusiveMinimum !== undefined && `above ${schema.exclusiveMinimum}`,
    schema.exclusiveMaximum !== undefined && `below ${schema.exclusiveMaximum}`,
    schema.multipleOf !== undefined && `a multiple of ${schema.multipleOf}`,
    schema.pattern !== undefined && `like ${schema.pattern}`,
    schema.default !== undefined && `default ${JSON.stringify(schema.default)}`,
  ]
    .filter(Boolean)
    .join(", ")
}

function range(least: unknown, most: unknown, unit: string): string {
  if (least !== undefined && most !== undefined) return `${write(least)} to ${write(most)}${unit}`
  if (most !== undefined) return `at most ${write(most)}${unit}`
  return least !== undefined ? `at least ${write(least)}${unit}` : ""
}

const write = (value: unknown): string => (typeof value === "number" ? value.toLocaleString("en") : String(value))

/** A reply in a line: `{ id, title, director? }`, a list of them in brackets. */
export function shapeOf(response: Endpoint["responses"][string]): string {
  const { content, contentMediaType } = response as { content?: object; contentMediaType?: string }
  if (content) return Object.keys(content).join(", ")
  return contentMediaType ?? shape(replySchema(response))
}

function shape(schema: JsonSchema): string {
  if (schema.type === "array") return `[${shape((schema.items ?? {}) as JsonSchema)}]`
  if (!schema.properties) return typeOf(schema)
  const required = new Set((schema.required as string[] | undefined) ?? [])
  const names = Object.keys(propertiesOf(schema)).map((name) => (required.has(name) ? name : `${name}?`))
  return names.length === 0 ? "{}" : `{ ${names.join(", ")} }`
}
