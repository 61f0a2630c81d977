/**
 * `request.ip` and `request.protocol`: the client's, also behind proxies. What a client could write itself is believed only
 * from the proxies that `server.trusted_proxies` names, and only as far as they wrote it: lists are read from the right, past
 * trusted addresses, to the first that is not. Nothing is computed on requests that nobody asks it of.
 */
import type { IncomingHttpHeaders, IncomingMessage } from "node:http"
import type { TLSSocket } from "node:tls"
import type { FastifyInstance, FastifyRequest } from "fastify"
import type { Log } from "../core/log.ts"
import { networkSet, plainAddress, unmapped } from "../core/networks.ts"
import { replaceGetter } from "./request-class.ts"

/** Where a proxy in front would be, and a stranger from the Internet not. */
const privateNetworks = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "::1", "fc00::/7"]

/** How many peers' trust is remembered: proxies are few. */
const maxPeers = 1000

const found = Symbol("client address")
const ambiguous = Symbol("ambiguous client")
type Asked = FastifyRequest & { [found]?: string; [ambiguous]?: boolean }

type IsProxy = (address: string) => boolean

export function clientAddresses(api: FastifyInstance, trustedProxies: readonly string[], log: Log): void {
  const isProxy = networkSet(trustedProxies)
  const isTrusted = trustedProxies.length > 0 ? remembered(isProxy) : () => false
  const hint = hintOnce(trustedProxies, log)

  replaceGetter(api, "ip", function (this: Asked) {
    if (this[found] !== undefined) return this[found]
    const { headers } = this.raw
    const peer = peerOf(this.raw)
    const header = forwardedHeader(headers)
    if (header === undefined) return peer
    if (!isTrusted(peer)) {
      hint(peer, header)
      return peer
    }
    const client = forwardedAddress(headers, isProxy)
    if (client === undefined) this[ambiguous] = true
    this[found] = client ?? peer
    return this[found]
  })

  replaceGetter(api, "protocol", function () {
    const said =
      saysProtocol(this.raw.headers) && isTrusted(peerOf(this.raw)) && forwardedProtocol(this.raw.headers, isProxy)
    return said || ((this.raw.socket as TLSSocket).encrypted ? "https" : "http")
  })
}

/**
 * Whether a trusted proxy forwarded the request and yet `request.ip`, once asked, is the proxy's own address: its headers
 * could not be read, hid the client, or contradicted each other.
 */
export const isAmbiguous = (request: FastifyRequest): boolean => (request as Asked)[ambiguous] === true

/** The other end of the connection. A Unix socket has no address, nor has a connection that is gone. */
const peerOf = ({ socket }: IncomingMessage): string => unmapped(socket.remoteAddress ?? "unknown")

/** Asks once for each peer: the list of networks costs more than all else here. */
function remembered(isProxy: IsProxy): IsProxy {
  const known = new Map<string, boolean>()
  return (peer) => {
    let trusted = known.get(peer)
    if (trusted === undefined) {
      trusted = peer !== "unknown" && isProxy(peer)
      if (known.size < maxPeers) known.set(peer, trusted)
    }
    return trusted
  }
}

/** Says once what to configure, when a proxy seems to be in front that nobody named. */
function hintOnce(trustedProxies: readonly string[], log: Log): (peer: string, header: string) => void {
  const isPrivate = networkSet(privateNetworks)
  let isSaid = false
  return (peer, header) => {
    if (isSaid || peer === "unknown" || !isPrivate(peer)) return
    isSaid = true
    log.warn(
      `${header} came from ${peer}, which is no trusted proxy, so it is ignored and all clients behind it count as one. ` +
        `If that is your proxy: TRUSTED_PROXIES=${[...trustedProxies, peer].join(",")}`,
    )
  }
}

/** The name of a header by which proxies tell the client's address, if one came. */
function forwardedHeader(headers: IncomingHttpHeaders): string | undefined {
  if (headers["x-forwarded-for"] !== undefined) return "X-Forwarded-For"
  if (headers.forwarded !== undefined) return "Forwarded"
  return headers["x-real-ip"] === undefined ? undefined : "X-Real-IP"
}

/**
 * The client that the headers name. A proxy writes one of them and hands on the others as the client sent them, so where they
 * name different clients none is believed.
 */
function forwardedAddress(headers: IncomingHttpHeaders, isProxy: IsProxy): string | undefined {
  const { "x-forwarded-for": list, forwarded, "x-real-ip": real } = headers
  const clients: (string | undefined)[] = []
  if (list !== undefined) clients.push(clientIn(String(list), nodeAddress, isProxy)?.address)
  if (forwarded !== undefined) clients.push(clientIn(forwarded, forAddress, isProxy)?.address)
  if (real !== undefined) {
    const address = nodeAddress(String(real))
    // Behind two proxies it often is the address of the first, and says nothing of the client.
    if (clients.length === 0 || address === undefined || !isProxy(address)) clients.push(address)
  }
  return clients.every((client) => client === clients[0]) ? clients[0] : undefined
}

const saysProtocol = (headers: IncomingHttpHeaders): boolean =>
  headers["x-forwarded-proto"] !== undefined || headers.forwarded !== undefined

/** How the client reached the first trusted proxy, as far as the headers say. */
function forwardedProtocol(headers: IncomingHttpHeaders, isProxy: IsProxy): "http" | "https" | undefined {
  const { "x-forwarded-proto": list, forwarded } = headers
  let said: string | undefined
  // The last is the nearest proxy's.
  if (list !== undefined) said = String(list).slice(String(list).lastIndexOf(",") + 1)
  else if (forwarded !== undefined) said = parameterOf(clientIn(forwarded, forAddress, isProxy)?.entry ?? "", "proto")
  said = said?.trim().toLowerCase()
  return said === "http" || said === "https" ? said : undefined
}

/** Reads a list from the right to the first address that is no proxy's; the leftmost when all are. */
function clientIn(list: string, read: (entry: string) => string | undefined, isProxy: IsProxy) {
  let end = list.length
  while (true) {
    const comma = commaBefore(list, end)
    const entry = list.slice(comma + 1, end)
    const address = read(entry)
    if (address === undefined) return undefined
    if (comma < 0 || !isProxy(address)) return { address, entry }
    end = comma
  }
}

/** The last comma before `end` that is not inside quotes, as RFC 7239 allows it. From the right: the left is the client's. */
function commaBefore(list: string, end: number): number {
  if (!list.includes('"')) return end > 0 ? list.lastIndexOf(",", end - 1) : -1
  let isQuoted = false
  for (let at = end - 1; at >= 0; at--) {
    if (list[at] === '"' && list[at - 1] !== "\\") isQuoted = !isQuoted
    else if (list[at] === "," && !isQuoted) return at
  }
  return -1
}

/** The address of a node: with or without a port, IPv6 in brackets or not; undefined for `unknown` and `_hidden`. */
function nodeAddress(text: string): string | undefined {
  const node = text.trim()
  const address = plainAddress(node)
  if (address !== undefined) return address
  const [, bracketed, dotted] = /^(?:\[([^\]]*)\]|([\d.]+))(?::[\w.-]+)?$/.exec(node) ?? []
  return plainAddress(bracketed ?? dotted ?? "")
}

/** The address in the `for` of an element of `Forwarded`. */
const forAddress = (element: string): string | undefined => nodeAddress(parameterOf(element, "for") ?? "")

/** A parameter of RFC 7239, its value in quotes or (as some proxies write addresses) without. */
const parameter = /[ \t]*([\w!#$%&'*+.^`|~-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s",;]*))[ \t]*(?:;|$)/y

/** The value of a parameter, which an element has once; undefined when the element cannot be read to its end. */
function parameterOf(element: string, name: string): string | undefined {
  let value: string | undefined
  parameter.lastIndex = 0
  while (parameter.lastIndex < element.length) {
    const match = parameter.exec(element)
    if (!match) return undefined
    if (match[1]!.toLowerCase() !== name) continue
    if (value !== undefined) return undefined
    value = match[2] ?? match[3]!
  }
  return value
}
