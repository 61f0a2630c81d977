/** How the name of a receiver becomes addresses. */
import { lookup, Resolver } from "node:dns/promises"

/** Says which addresses a name has now; rejects with a code of `node:dns` when it has none. */
export type Resolve = (name: string, signal: AbortSignal) => Promise<string[]>

/**
 * As the system does it for all programs, by `/etc/hosts`, search domains and whatever it is set up for. Each question takes one of the
 * few threads of the process until it is answered, and cannot be called off: for names of people that are trusted.
 */
export const resolveAsSystem: Resolve = async (name) =>
  (await lookup(name, { all: true })).map(({ address }) => address)

/**
 * In DNS and nowhere else, where every public name is, over sockets: a name whose servers do not answer holds up no other, and no
 * name is looked for in the domain of this machine. IPv4 comes first, since it is what nearly all can reach.
 * @param servers instead of those of the system
 */
export const resolveInDns =
  (servers?: readonly string[]): Resolve =>
  async (name, signal) => {
    const resolver = new Resolver({ timeout: 3000, tries: 2 })
    if (servers) resolver.setServers(servers)
    const cancel = () => resolver.cancel()
    signal.addEventListener("abort", cancel, { once: true })
    const answers = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)])
    signal.removeEventListener("abort", cancel)
    const addresses = answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []))
    if (addresses.length === 0 && answers[0].status === "rejected") throw answers[0].reason
    return addresses
  }
