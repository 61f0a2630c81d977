/** Copies a value of unknown make into plain objects that can be printed, secrets masked, and stops when it has enough. */
import { EventEmitter } from "node:events"

/** What {@link copyWith} asks of the mask. */
interface Rules {
  isSecret(name: string): boolean
  url(url: string): string
  text(text: string): string
  masked: string
}

/** Deeper values are left out: nobody reads them in a line. */
const depthAtMost = 8
const more = "…"

/** One copy under way: `left` is how many characters it may still print, `parents` what it stands in. */
interface Copying extends Rules {
  left: number
  parents: unknown[]
}

/** Each value costs at least one character of `atMost`, so the work is bounded as well as the result. */
export function copyWith(rules: Rules, value: unknown, atMost: number): unknown {
  return copyOf(value, { ...rules, left: atMost, parents: [] })
}

function copyOf(value: unknown, to: Copying): unknown {
  to.left--
  if (typeof value === "string") return copyText(value, to)
  if (typeof value === "function") return `[function ${value.name}]`
  if (typeof value === "bigint" || typeof value === "symbol" || Number.isNaN(value)) return String(value)
  if (typeof value !== "object" || value === null) return value
  if (to.parents.includes(value)) return "[circular]"
  if (to.parents.length >= depthAtMost) return more
  to.parents.push(value)
  try {
    return Array.isArray(value) ? copyList(value, to) : copyObject(value, to)
  } catch {
    // A getter or a proxy that throws must not take the line with it.
    return "[unreadable]"
  } finally {
    to.parents.pop()
  }
}

function copyText(text: string, to: Copying): string {
  const shown = text.length > to.left ? text.slice(0, Math.max(to.left, 0)) + more : text
  to.left -= text.length
  return to.text(shown)
}

function copyList(list: unknown[], to: Copying): unknown[] {
  const copy: unknown[] = []
  for (let i = 0; i < list.length; i++) {
    if (to.left <= 0) return [...copy, more]
    // Raw headers and entries: a name, then its value.
    const name = list[i - 1]
    const isValue = typeof name === "string" && typeof list[i] === "string" && to.isSecret(name)
    copy.push(isValue ? to.masked : copyOf(list[i], to))
  }
  return copy
}

function copyObject(value: object, to: Copying): unknown {
  const known = copyKnown(value, to)
  return known === undefined ? copyFields(value as Record<string, unknown>, to) : known
}

function copyFields(value: Record<string, unknown>, to: Copying): Record<string, unknown> {
  const copy: Record<string, unknown> = {}
  for (const name of Object.keys(value)) {
    if (to.left <= 0) {
      copy[more] = more
      break
    }
    to.left -= name.length
    const item = to.isSecret(name) ? to.masked : copyOf(value[name], to)
    if (name === "__proto__") Object.defineProperty(copy, name, { value: item, enumerable: true })
    else copy[name.length > 100 ? name.slice(0, 100) + more : name] = item
  }
  return copy
}

/** Objects that are more than their fields; undefined for any other. */
function copyKnown(value: object, to: Copying): unknown {
  if (value instanceof Error) return copyText(`${value.name}: ${value.message}`, to)
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString()
  if (value instanceof URL) return copyText(to.url(value.href), to)
  if (value instanceof RegExp) return String(value)
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`
  if (value instanceof Map || value instanceof Headers || value instanceof URLSearchParams)
    return copyEntries(value, to)
  if (value instanceof Set) return copyList([...firstOf(value, to.left)], to)
  const { raw, toJSON } = value as { raw?: unknown; toJSON?: unknown }
  if (raw instanceof EventEmitter) return copyMessage(value, to)
  // Sockets, streams and servers: large, and full of headers.
  if (value instanceof EventEmitter) return copyMessage(value, to)
  if (typeof toJSON === "function") return copyOf(toJSON.call(value), to)
  return undefined
}

function copyEntries(entries: Iterable<[unknown, unknown]>, to: Copying): unknown {
  return copyFields(Object.fromEntries([...firstOf(entries, to.left)].map(([name, item]) => [String(name), item])), to)
}

function* firstOf<T>(items: Iterable<T>, count: number): Generator<T> {
  for (const item of items) {
    if (count-- <= 0) return
    yield item
  }
}

/** A request or an answer, Fastify's or Node's, in a few words; anything else that emits events by its name. */
function copyMessage(value: object, to: Copying): unknown {
  const { method, url, statusCode } = value as { method?: unknown; url?: unknown; statusCode?: unknown }
  if (typeof url === "string") return { method, url: copyText(to.url(url), to) }
  if (typeof statusCode === "number") return { status: statusCode }
  return `[${value.constructor?.name ?? "object"}]`
}
