/**
 * Which addresses are public: those that a stranger may have this server call. All others lead into this machine, into the
 * network around it, or nowhere.
 */
import { networkSet, plainAddress } from "../core/networks.ts"

/**
 * IPv4 that is no host of the Internet: IANA's special-purpose registry, the few anycast services in it too, since no
 * receiver is one of them; then multicast and what is reserved.
 */
const isSpecial4 = networkSet([
  "0.0.0.0/8", // this machine, as most systems take it
  "10.0.0.0/8", // private
  "100.64.0.0/10", // shared by the customers of a provider; some clouds have their metadata here
  "127.0.0.0/8", // loopback
  "169.254.0.0/16", // link-local: the metadata of most clouds
  "172.16.0.0/12", // private
  "192.0.0.0/24", // protocol assignments
  "192.0.2.0/24", // documentation
  "192.31.196.0/24", // AS112
  "192.52.193.0/24", // AMT
  "192.88.99.0/24", // 6to4 relays
  "192.168.0.0/16", // private
  "192.175.48.0/24", // AS112
  "198.18.0.0/15", // benchmarks
  "198.51.100.0/24", // documentation
  "203.0.113.0/24", // documentation
  "224.0.0.0/4", // multicast
  "240.0.0.0/4", // reserved, and broadcast
])

/**
 * All hosts of the Internet have IPv6 addresses in here (RFC 4291, section 2.4). Outside are loopback, private, link-local and
 * multicast addresses, and those that stand for an IPv4 address: `::ffff:0:0/96`, `64:ff9b::/96`, `64:ff9b:1::/48`.
 */
const isUnicast6 = networkSet(["2000::/3"])

/** What IANA's special-purpose registry takes out of it. */
const isSpecial6 = networkSet([
  "2001::/23", // protocol assignments; Teredo, which holds an IPv4 address
  "2001:db8::/32", // documentation
  "2002::/16", // 6to4, which holds an IPv4 address
  "2620:4f:8000::/48", // AS112
  "3fff::/20", // documentation
])

/** Whether an address is one of a host on the Internet. What is no address is not. */
export function isPublic(text: string): boolean {
  // A zone names an interface of this machine.
  const address = text.includes("%") ? undefined : plainAddress(text)
  if (address === undefined) return false
  return address.includes(":") ? isUnicast6(address) && !isSpecial6(address) : !isSpecial4(address)
}
