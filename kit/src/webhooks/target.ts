/**
 * Where a webhook goes. Whoever makes an endpoint chooses an address that this server then calls from inside its network, so
 * both the address and what its name resolves to are checked.
 */
import { isIP } from "node:net"
import { badRequest } from "../core/errors.ts"
import { isPublic } from "./public-addresses.ts"
import { type Resolve, resolveAsSystem, resolveInDns } from "./resolve.ts"

/** What may be called. */
export interface TargetRules {
  /** Addresses of this machine and of private networks too. */
  allowPrivate: boolean
  /** Without TLS too. */
  allowHttp: boolean
  /** Instead of the system, or of DNS where only public addresses are allowed. */
  resolve?: Resolve
}

const longest = 2000

/**
 * Reads the address of an endpoint. Other spellings of an address, such as `http://2130706433/` and `http://0x7f.1/`, are IPv4
 * like any other after `URL` has read them.
 * @throws HttpError 400 that says what is wrong with it
 */
export function readTarget(text: string, { allowPrivate, allowHttp }: TargetRules): URL {
  const url = text.length > longest ? null : URL.parse(text)
  // Escaping may have made it longer.
  if (!url || !/^https?:$/.test(url.protocol) || url.href.length > longest) {
    throw badRequest(
      `The address of a webhook is a URL of ${longest} characters at most, such as https://example.com/hooks.`,
    )
  }
  if (url.protocol === "http:" && !allowHttp) throw badRequest("The address of a webhook begins with https://.")
  // They would be in every list of endpoints. What the receiver needs to know the sender by is the signature.
  if (url.username || url.password) throw badRequest("The address of a webhook has no user and no password in it.")
  if (url.hash) throw badRequest(`The address of a webhook has no "#": what follows it is never sent.`)
  if (!allowPrivate && isInside(hostOf(url))) throw notPublic(hostOf(url))
  return url
}

/** Whether the address is not public, or the name can only be this machine's (RFC 6761, section 6.3). */
const isInside = (host: string): boolean => (isIP(host) ? !isPublic(host) : /(^|\.)localhost\.?$/.test(host))

/** The name or address in a URL, IPv6 without its brackets. */
export const hostOf = (url: URL): string => url.hostname.replace(/^\[(.*)\]$/, "$1")

/**
 * The addresses that may be connected to for a target, and no others: asking for the name a second time could give another answer,
 * which nobody has checked.
 * @throws HttpError when one of them is not public. A name with both kinds is an attempt, or a mistake.
 */
export async function addressesOf(
  url: URL,
  { allowPrivate, resolve = allowPrivate ? resolveAsSystem : resolveInDns() }: TargetRules,
  signal: AbortSignal,
): Promise<string[]> {
  const host = hostOf(url)
  if (isIP(host)) return [host]
  const addresses = await resolve(host, signal)
  if (!allowPrivate && !addresses.every(isPublic)) throw notPublic(host)
  return addresses
}

/** Does not say which address a name has: whoever makes endpoints would learn of the network inside. */
const notPublic = (host: string) =>
  badRequest(`${host} is a private or local address. A webhook goes to one that is public.`)
