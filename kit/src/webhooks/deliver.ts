/** One attempt to deliver one webhook. */
import { STATUS_CODES } from "node:http"
import type { Config } from "../core/config/index.ts"
import { HttpError } from "../core/errors.ts"
import type { Mode } from "../core/mode.ts"
import { type Answer, post } from "./post.ts"
import { signedHeaders } from "./signature.ts"
import { addressesOf, readTarget, type TargetRules } from "./target.ts"

/** What is delivered. */
export interface Delivery {
  url: string
  /** Those that count now; there is a signature for each. */
  secrets: readonly string[]
  /** The same at each attempt: by it the receiver knows what it has seen. */
  id: string
  /** JSON, as it was when the event happened. */
  body: string
}

export interface DeliveryRules extends TargetRules {
  /** For all of an attempt, from resolving the name to the end of the answer. */
  timeoutMs: number
}

/** What the settings allow. Without TLS is for receivers that are being written. */
export const deliveryRules = ({ webhooks }: Config, mode: Mode): DeliveryRules => ({
  allowPrivate: webhooks.allow_private,
  allowHttp: webhooks.allow_http || mode !== "production",
  timeoutMs: webhooks.timeout,
})

/** How an attempt ended. */
export interface Outcome {
  /** What the receiver answered; null when it did not. */
  status: number | null
  /** Why it failed, in a sentence; null when the receiver took it. */
  trouble: string | null
}

/**
 * Delivers a webhook to whoever has the address. Only an answer of 2xx is a success; whatever else happens is told, not thrown.
 * @param signal calls it off; its reason is thrown
 */
export async function deliver(
  { url, secrets, id, body: text }: Delivery,
  rules: DeliveryRules,
  signal: AbortSignal,
): Promise<Outcome> {
  signal.throwIfAborted()
  const late = AbortSignal.timeout(rules.timeoutMs)
  const ended = AbortSignal.any([signal, late])
  try {
    // Again, since settings may have changed after the endpoint was made.
    const target = readTarget(url, rules)
    const addresses = await orAborted(addressesOf(target, rules, ended), ended)
    const body = Buffer.from(text)
    const headers = {
      "content-type": "application/json",
      "user-agent": "Trestle-Webhooks",
      ...signedHeaders(secrets, { id, body }),
    }
    return judge(await post(target, addresses, { headers, body }, ended))
  } catch (error) {
    signal.throwIfAborted()
    if (late.aborted) return { status: null, trouble: `There was no answer within ${rules.timeoutMs / 1000} seconds.` }
    if (error instanceof HttpError) return { status: null, trouble: error.message }
    // Of the network, of TLS, or of an answer that is no HTTP. The message would name addresses.
    const { code } = error as NodeJS.ErrnoException
    if (typeof code === "string") return { status: null, trouble: `The connection failed: ${code}.` }
    throw error
  }
}

function judge({ status, excerpt }: Answer): Outcome {
  if (status >= 200 && status < 300) return { status, trouble: null }
  const answered = `It answered ${status} ${STATUS_CODES[status] ?? ""}`.trim()
  if (status >= 300 && status < 400) {
    return { status, trouble: `${answered}. Redirects are not followed: give the endpoint the address it leads to.` }
  }
  return { status, trouble: excerpt ? `${answered}: ${excerpt}` : `${answered}.` }
}

/** What cannot be called off, such as a question to the resolver, is no longer waited for. */
function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  signal.addEventListener("abort", () => reject(signal.reason), { once: true })
  return Promise.race([promise, aborted])
}
