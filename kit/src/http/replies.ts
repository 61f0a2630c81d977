/**
 * Writes replies by the schemas of their route: what a route does not declare never leaves. An undeclared status is an
 * error (500, logged). So is an undeclared field in development and in tests; in production the field is left out and
 * logged, because a column that a newer version added must not break the older one beside it
 * (docs/decisions/0002-undeclared-fields.md).
 */
import fastJsonStringify from "fast-json-stringify"
import type { FastifyReply, FastifyRequest, RouteOptions } from "fastify"
import { type TSchema, Type } from "typebox"
import type { Log } from "../core/log.ts"
import { isOptional } from "../core/schema.ts"

/** What to do with a field that the schema does not declare. */
export type OnUndeclared = (field: string, place: string) => void

interface SerializerRoute {
  schema: unknown
  method: string
  url: string
  httpStatus?: string
}

/** Makes Fastify's serializer compiler; `indent` is the number of spaces for people who read replies, or 0. */
export function serializerCompiler(onUndeclared: OnUndeclared, indent: number) {
  return ({ schema, method, url }: SerializerRoute) => {
    const place = `${method} ${url}`
    const shape = shaper(schema as TSchema, (field) => onUndeclared(field, place))
    const stringify = fastJsonStringify(schema as object)
    const write = (reply: unknown): string => stringify(shape ? shape(reply, "") : reply)
    return indent > 0 ? (reply: unknown) => JSON.stringify(JSON.parse(write(reply)), null, indent) : write
  }
}

/** In production such a field is left out and named in the log once; elsewhere it is an error at once. */
export function undeclaredFields(isProduction: boolean, log: Log): OnUndeclared {
  const known = new Set<string>()
  return (field, place) => {
    const message = `${place} answered the field "${field}", which its response schema does not declare.`
    if (!isProduction) throw new Error(`${message} Declare it, or do not select it.`)
    if (known.has(place + field)) return
    known.add(place + field)
    log.warn(`${message} It was left out. Declare it, or do not select it.`)
  }
}

type Shape = (value: unknown, at: string) => unknown

/**
 * Makes a function that reports undeclared fields and leaves out optional ones that are null, as a row of the database has
 * them. It copies only what it changes, and is undefined where there is nothing to look at.
 */
function shaper(schema: TSchema, report: (field: string) => void): Shape | undefined {
  if (Type.IsArray(schema)) {
    const item = shaper(schema.items, report)
    return (
      item && ((value, at) => (Array.isArray(value) ? mapChanged(value, (entry) => item(entry, `${at}[]`)) : value))
    )
  }
  if (!Type.IsObject(schema) || isOpen(schema)) return undefined

  const fields = new Map(
    Object.entries(schema.properties).map(([name, property]) => [
      name,
      { shape: shaper(property, report), omitNull: isOptional(property) && !allowsNull(property) },
    ]),
  )
  return (value, at) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return value
    let shaped = value as Record<string, unknown>
    for (const name in value) {
      const field = fields.get(name)
      const item = (value as Record<string, unknown>)[name]
      if (!field) {
        if (item !== undefined) report(at ? `${at}.${name}` : name)
        continue
      }
      const next =
        item === null && field.omitNull
          ? undefined
          : field.shape
            ? field.shape(item, at ? `${at}.${name}` : name)
            : item
      if (next === item) continue
      if (shaped === value) shaped = { ...shaped }
      shaped[name] = next
    }
    return shaped
  }
}

/** An object that takes any further field by its own word. */
const isOpen = (schema: TSchema) =>
  ("additionalProperties" in schema && schema.additionalProperties !== false) || "patternProperties" in schema

function mapChanged(items: unknown[], map: (item: unknown) => unknown): unknown[] {
  let changed = items
  for (let i = 0; i < items.length; i++) {
    const item = map(items[i])
    if (item === items[i]) continue
    if (changed === items) changed = [...items]
    changed[i] = item
  }
  return changed
}

const allowsNull = (schema: TSchema): boolean =>
  Type.IsNull(schema) ||
  Type.IsUnknown(schema) ||
  Type.IsAny(schema) ||
  (Type.IsUnion(schema) && schema.anyOf.some(allowsNull))

const usualType = "application/json; charset=utf-8"

/** A `preSerialization` hook that gives JSON replies another media type. */
export function mediaType(type: string) {
  const wanted = `${type}; charset=utf-8`
  return (
    _request: FastifyRequest,
    reply: FastifyReply,
    payload: unknown,
    done: (error: null, payload: unknown) => void,
  ) => {
    if (reply.getHeader("content-type") === usualType) reply.header("content-type", wanted)
    done(null, payload)
  }
}

/** An `onSend` hook that lets only the statuses pass that the route declares; problems always may. */
export function declaredStatuses(route: RouteOptions) {
  const declared = Object.keys((route.schema?.response as object | undefined) ?? {}).map((status) =>
    status.toLowerCase(),
  )
  const named = new Set(declared)
  const exact = new Set(declared.map(Number))
  const allows = (status: number) => exact.has(status) || named.has(`${String(status)[0]}xx`) || named.has("default")

  return (
    _request: FastifyRequest,
    reply: FastifyReply,
    payload: unknown,
    done: (error: Error | null, payload?: unknown) => void,
  ) => {
    if (reply.isProblem || allows(reply.statusCode)) {
      done(null, payload)
      return
    }
    done(
      new Error(
        `${route.method} ${route.url} answered ${reply.statusCode}, which its response schemas do not declare ` +
          `(${declared.join(", ")}). Declare it, or throw an HttpError.`,
      ),
    )
  }
}
