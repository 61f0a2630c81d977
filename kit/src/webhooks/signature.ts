/** The signatures of Standard Webhooks 1.0 (https://www.standardwebhooks.com): made by the sender, checked by the receiver. */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto"
import { unauthorized } from "../core/errors.ts"

/** Secrets begin so, so that people and secret scanners know one when they see it. */
const prefix = "whsec_"

/** A new secret, of 256 bits. */
export const newSecret = (): string => prefix + randomBytes(32).toString("base64")

/** The specification's least, in bytes. An empty secret, as of a variable that was forgotten, would let everyone in. */
const shortestKey = 24

function keyOf(secret: string): Buffer {
  const key = Buffer.from(secret.startsWith(prefix) ? secret.slice(prefix.length) : secret, "base64")
  if (key.length < shortestKey) {
    throw new TypeError(`A webhook's secret is "whsec_" and at least ${shortestKey} bytes in base64.`)
  }
  return key
}

/** What is signed is exactly what is sent: the id, the time of the attempt in seconds, and the bytes of the body. */
const hmac = (secret: string, id: string, timestamp: string, body: string | Buffer): Buffer =>
  createHmac("sha256", keyOf(secret)).update(`${id}.${timestamp}.`).update(body).digest()

/**
 * The headers of one attempt. While a secret is being replaced there are several, with a signature for each, and the receiver
 * takes the one that it can check.
 */
export function signedHeaders(
  secrets: readonly string[],
  { id, body, at = new Date() }: { id: string; body: Buffer; at?: Date },
): Record<string, string> {
  const timestamp = String(Math.floor(at.getTime() / 1000))
  return {
    "webhook-id": id,
    "webhook-timestamp": timestamp,
    "webhook-signature": secrets
      .map((secret) => `v1,${hmac(secret, id, timestamp, body).toString("base64")}`)
      .join(" "),
  }
}

/** What a webhook of Trestle says. */
export interface WebhookPayload<Data = unknown> {
  /** What happened: `movie.created`. */
  type: string
  /** When it happened, ISO 8601. */
  timestamp: string
  data: Data
}

/** How far the clocks of sender and receiver may be apart, in seconds; later a webhook that somebody kept counts for nothing. */
const toleranceS = 5 * 60

/**
 * Checks a webhook that came in, from Trestle or any other sender of Standard Webhooks, and returns what it says. Whoever
 * receives one twice, as happens, knows it by its `webhook-id`.
 * @param secret one or, while it is being replaced, several
 * @param headers with names in lower case, as Node and Fastify give them
 * @param body as it came, byte for byte: JSON that was read and written again has another signature
 * @throws HttpError 401 when it is not signed with the secret, or not within five minutes
 * @example const { type, data } = verifyWebhook<WebhookPayload>(secret, request.headers, body)
 */
export function verifyWebhook<T = WebhookPayload>(
  secret: string | readonly string[],
  headers: Readonly<Record<string, string | string[] | undefined>>,
  body: string | Buffer,
): T {
  const { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signatures } = headers
  if (typeof id !== "string" || typeof timestamp !== "string" || typeof signatures !== "string") {
    throw unauthorized("A webhook has the headers webhook-id, webhook-timestamp and webhook-signature.")
  }
  if (!/^\d{1,11}$/.test(timestamp) || Math.abs(Date.now() / 1000 - Number(timestamp)) > toleranceS) {
    throw unauthorized("The webhook is older than five minutes, or the clocks differ.")
  }
  const given = signatures
    .split(" ")
    .filter((signature) => signature.startsWith("v1,"))
    .map((signature) => Buffer.from(signature.slice("v1,".length), "base64"))
  const isSigned = [secret].flat().some((one) => {
    const expected = hmac(one, id, timestamp, body)
    return given.some((signature) => signature.length === expected.length && timingSafeEqual(signature, expected))
  })
  if (!isSigned) throw unauthorized("The webhook is not signed with the secret.")
  return JSON.parse(body.toString()) as T
}
