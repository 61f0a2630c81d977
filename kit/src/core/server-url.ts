/** Where a server is, for people. */
import type { Config } from "./config/index.ts"

/** Where to call a server that listens at this host and port. */
export const urlOf = (host: string, port: number, isTls: boolean): string =>
  `${isTls ? "https" : "http"}://${shownHost(host)}:${port}`

/**
 * What links of the server begin with: `server.public_url`. Without it this machine's own address, which leads somewhere only as
 * long as the browser is on the same machine. Never what a request says in `Host`: whoever sends it would choose where a link
 * with a secret leads.
 */
export const publicUrl = ({ server, tls }: Config): string =>
  server.public_url ?? urlOf(server.host, server.port, tls.mode !== "off")

/** A host that a browser or curl can call: all interfaces are also this machine. */
function shownHost(host: string): string {
  if (host === "0.0.0.0" || host === "::") return "localhost"
  return host.includes(":") ? `[${host}]` : host
}
