/** Where a server is, for people. */

/** Where to call a server that listens at this host and port. */
export const urlOf = (host: string, port: number, isTls: boolean): string =>
  `${isTls ? "https" : "http"}://${shownHost(host)}:${port}`

/** A host that a browser or curl can call: all interfaces are also this machine. */
function shownHost(host: string): string {
  if (host === "0.0.0.0" || host === "::") return "localhost"
  return host.includes(":") ? `[${host}]` : host
}
