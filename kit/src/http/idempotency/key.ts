/** The header `Idempotency-Key`, and what a request that has it is known by. */
import { createHash, hash } from "node:crypto"
import type { FastifyRequest } from "fastify"
import { badRequest, unauthorized } from "../../core/errors.ts"

/** As draft-ietf-httpapi-idempotency-key-header-07 has it: a string of RFC 8941, of which only visible characters are taken. */
const quoted = /^"((?:[!#-[\]-~]|\\["\\])+)"$/
/** As most clients send it. What separates several values, or would be escaped in quotes, may not stand in it. */
const plain = /^[!#-+\--:<-[\]-~]+$/
const longest = 255

/** A request with a key. Both are SHA-256. */
export interface KeyedRequest {
  /** Of the caller, the route and the key: no other caller's is the same, nor another route's. */
  id: Buffer
  /** Of the URL and the body, as they came: before validation, whose defaults may change with a version. */
  fingerprint: Buffer
}

/**
 * Reads the key of a request whose body is read and whose caller is known; undefined when it has none.
 * @param route as in `POST /api/movies`
 * @throws HttpError 400 for a malformed key; 401 for a visitor, since two of them could not be told apart
 */
export function readKeyed(request: FastifyRequest, route: string): KeyedRequest | undefined {
  const header = request.headers["idempotency-key"]
  if (header === undefined) return undefined
  const key = readKey(String(header))
  if (!request.caller) {
    throw unauthorized("An Idempotency-Key counts for its caller. Log in, or send the request without it.")
  }
  const id = hash("sha256", JSON.stringify([request.caller.id, route, key]), "buffer")
  // No URL has a line break, so that none runs into its body.
  const fingerprint = createHash("sha256").update(`${request.url}\n`).update(bytesOf(request.body)).digest()
  return { id, fingerprint }
}

function readKey(header: string): string {
  const key = quoted.exec(header)?.[1]?.replace(/\\(.)/g, "$1") ?? plain.exec(header)?.[0]
  if (key === undefined || key.length > longest) {
    throw badRequest(
      `The Idempotency-Key must be one key of 1 to ${longest} visible ASCII characters, plain or in quotes.`,
    )
  }
  return key
}

/** Only an application's own parser makes anything but JSON of a body. */
function bytesOf(body: unknown): string | Buffer {
  if (Buffer.isBuffer(body)) return body
  if (typeof (body as { pipe?: unknown } | null | undefined)?.pipe === "function") {
    throw new Error("An idempotent route compares whole bodies, and this one is a stream. Read it in the parser.")
  }
  return JSON.stringify(body) ?? ""
}
