/** Addresses and networks of machines: `10.0.0.1`, `10.0.0.0/8`, `::1`, `fd00::/8`. */
import { BlockList, isIP, SocketAddress } from "node:net"

/** What {@link parseNetwork} accepts, as error messages say it. */
export const networkExpected = 'an address or a network, such as "10.0.0.1" or "10.0.0.0/8"'

/** An address, or all that begin with the same `prefix` bits. */
interface Network {
  address: string
  prefix: number
  family: "ipv4" | "ipv6"
}

/**
 * An address in the one form that it is compared and counted in: IPv6 short and in lower case, IPv4 inside IPv6
 * (`::ffff:10.0.0.1`) as IPv4, without a zone.
 * @returns undefined when the text is no address
 */
export function plainAddress(text: string): string | undefined {
  const version = isIP(text)
  if (version === 4) return text
  return version === 6 ? unmapped(new SocketAddress({ address: text, family: "ipv6" }).address) : undefined
}

/** IPv4 inside IPv6, as a socket that takes both reports it, becomes IPv4; the address is in plain form otherwise. */
export const unmapped = (address: string): string =>
  address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address

/** What a client, its address in plain form, is counted as: of IPv6 the first 64 bits, since its owner can take any in them. */
export function clientNetwork(address: string): string {
  if (!address.includes(":")) return address
  const [before = "", after] = address.split("::")
  const groups = before === "" ? [] : before.split(":")
  if (after !== undefined && groups.length < 4) {
    const last = after === "" ? [] : after.split(":")
    while (groups.length + last.length < 8) groups.push("0")
    groups.push(...last)
  }
  return `${groups.slice(0, 4).join(":")}::/64`
}

/**
 * Checks an address or a network, and returns it as it came.
 * @throws TypeError whose message says what is expected
 */
export function parseNetwork(text: string): string {
  networkOf(text)
  return text
}

/** Makes the question whether an address, in plain form, belongs to one of these. */
export function networkSet(networks: readonly string[]): (address: string) => boolean {
  const list = new BlockList()
  for (const { address, prefix, family } of networks.map(networkOf)) list.addSubnet(address, prefix, family)
  return (address) => list.check(address, address.includes(":") ? "ipv6" : "ipv4")
}

function networkOf(text: string): Network {
  if (/^\d{1,2}$/.test(text)) {
    // A client that reaches the server by a shorter way than was counted could then write any address.
    throw new TypeError(`${networkExpected} (a number of hops is not taken: it can be got round)`)
  }
  const [, written = "", bits] = /^([^/%]+)(?:\/(\d{1,3}))?$/.exec(text) ?? []
  const address = plainAddress(written)
  if (address === undefined) throw new TypeError(networkExpected)
  const family = address.includes(":") ? "ipv6" : "ipv4"
  const length = family === "ipv4" ? 32 : 128
  const unmappedBits = family === "ipv4" && written.includes(":") ? 96 : 0
  const prefix = bits === undefined ? length : Number(bits) - unmappedBits
  if (prefix > length || prefix < 0) throw new TypeError(networkExpected)
  if (prefix === 0) throw new TypeError(`${networkExpected} (/0 is everyone, who could then write any address)`)
  return { address, prefix, family }
}
