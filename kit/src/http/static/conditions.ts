/** What the head of a request asks of a file: only if it changed, only a part of it, in which encoding (RFC 9110). */
import type { IncomingHttpHeaders } from "node:http"

/** What identifies a state of a file. */
export interface Validators {
  etag: string
  /** As in Last-Modified: whole seconds. */
  lastModified: string
}

/** Whether the client has this state already, so that 304 says all (13.1.2, 13.1.3). */
export function isUnchanged(headers: IncomingHttpHeaders, { etag, lastModified }: Validators): boolean {
  const tags = headers["if-none-match"]
  // The weak comparison: a proxy that compresses has made W/"x" of "x".
  if (tags !== undefined) {
    return tags.trim() === "*" || tags.split(",").some((tag) => tag.trim().replace(/^W\//, "") === etag)
  }
  const since = headers["if-modified-since"]
  return since !== undefined && Date.parse(lastModified) <= Date.parse(since)
}

/** Whether the client wants the file only in a state that it is not in: 412 (13.1.1, 13.1.4). */
export function isRefused(headers: IncomingHttpHeaders, { etag, lastModified }: Validators): boolean {
  const tags = headers["if-match"]
  // The strong comparison: W/"x" matches nothing.
  if (tags !== undefined) return tags.trim() !== "*" && !tags.split(",").some((tag) => tag.trim() === etag)
  const since = headers["if-unmodified-since"]
  return since !== undefined && Date.parse(lastModified) > Date.parse(since)
}

/** A part of a file, first and last byte included. */
export interface Part {
  start: number
  end: number
}

/**
 * The part that the client wants; undefined for the whole, `"unsatisfiable"` when there is no such part (14.2). Several
 * parts at once get the whole, which the client has to understand anyway and which cannot be used to make many of one.
 */
export function partOf(
  headers: IncomingHttpHeaders,
  size: number,
  { etag, lastModified }: Validators,
): Part | "unsatisfiable" | undefined {
  const [, first, last] = /^bytes=[ \t]*(\d*)-(\d*)[ \t]*$/i.exec(headers.range ?? "") ?? []
  if (first === undefined || last === undefined || first + last === "") return undefined
  // The rest of a state that is gone would not fit (13.1.5).
  const condition = headers["if-range"]
  if (typeof condition === "string" && condition !== etag && condition !== lastModified) return undefined

  const start = first === "" ? Math.max(0, size - Number(last)) : Number(first)
  const end = first === "" || last === "" ? size - 1 : Math.min(Number(last), size - 1)
  if (first !== "" && last !== "" && Number(last) < start) return undefined
  return start >= size ? "unsatisfiable" : { start, end }
}

/** Of these encodings the one that the client likes best, the first of equals; undefined for none of them (12.5.3). */
export function preferredEncoding<Name extends string>(
  accepted: string | undefined,
  available: readonly Name[],
): Name | undefined {
  if (!accepted) return undefined
  const weights = new Map(
    accepted.split(",").map((item) => {
      const [name = "", ...parameters] = item.split(";").map((text) => text.trim().toLowerCase())
      const weight = parameters.find((parameter) => parameter.startsWith("q="))
      return [name, weight === undefined ? 1 : Number(weight.slice(2)) || 0]
    }),
  )
  const weightOf = (name: string) => weights.get(name) ?? weights.get("*") ?? 0
  let best: Name | undefined
  // Nobody who names encodings minds the plain file, unless they say that they would rather have it.
  let most = weights.get("identity") ?? 0
  for (const name of available) {
    const weight = weightOf(name)
    if (weight === 0 || (best ? weight <= most : weight < most)) continue
    best = name
    most = weight
  }
  return best
}

/** Whether a page is an answer: to whoever names HTML, and to whoever takes anything without naming JSON. */
export function acceptsPages(accept: string | undefined): boolean {
  if (accept === undefined || /\btext\/(html|\*)(?!\s*;\s*q=0(\.0*)?\s*(,|$))/i.test(accept)) return true
  return accept.includes("*/*") && !accept.includes("json")
}
