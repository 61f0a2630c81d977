/**
 * The sockets that a server listens on, owned by a process that never accepts: whoever connects while no worker is there waits
 * instead of being refused. Workers are handed them and accept.
 */
import { lookup } from "node:dns/promises"
import { once } from "node:events"
import net from "node:net"
import { getSystemErrorName } from "node:util"
import { BootError } from "../core/errors.ts"

/** What Node calls a socket below `net.Server`; it can be sent to another process. */
export interface SocketHandle {
  getsockname(out: { port?: number }): number
  close(): void
}

/** As Node's own cluster makes them: bound, and not listening. Undocumented; a `net.Server` that listens would also accept. */
const { _createServerHandle: createHandle } = net as unknown as {
  _createServerHandle(address: string, port: number, family: 4 | 6, fd: -1, flags: number): SocketHandle | number
}

/** How often another port is tried when the system gave one that is taken at the other address of localhost. */
const attempts = 20

/** An address that this machine does not have: no IPv6, or none for loopback. */
const meansNoAddress = new Set(["EADDRNOTAVAIL", "EAFNOSUPPORT", "EINVAL"])

export interface BoundSockets {
  /** With port 0 the one that the system gave, the same for both addresses of localhost. */
  port: number
  handles: SocketHandle[]
  close(): void
}

/** @throws BootError when the port is taken, or needs rights that this user lacks */
export async function bindSockets(host: string, port: number): Promise<BoundSockets> {
  try {
    const handles = host === "localhost" ? await bindBoth(port) : [await bind(await addressOf(host), port)]
    return {
      port: portOf(handles[0]!),
      handles,
      close() {
        for (const handle of handles) handle.close()
      },
    }
  } catch (cause) {
    throw cause instanceof BootError ? cause : bindError(host, port, cause as NodeJS.ErrnoException)
  }
}

/** The message for a port that cannot be listened on. */
export function bindError(host: string, port: number, cause: NodeJS.ErrnoException): BootError {
  const { code, message } = cause
  if (code === "EADDRINUSE") {
    return new BootError(`Port ${port} at ${host} is taken. Stop what listens there, or set PORT to another.`, {
      cause,
    })
  }
  if (code === "EACCES") {
    return new BootError(`Port ${port} needs rights that this user lacks. Set PORT above 1023.`, { cause })
  }
  return new BootError(`Cannot listen at ${host}:${port}: ${message}`, { cause })
}

/** `localhost` is both loopback addresses, whatever this machine's resolver says of the name. */
async function bindBoth(port: number): Promise<SocketHandle[]> {
  for (let attempt = 1; ; attempt++) {
    const first = await bind("127.0.0.1", port)
    try {
      return [first, await bind("::1", portOf(first))]
    } catch (error) {
      const { code = "" } = error as NodeJS.ErrnoException
      if (meansNoAddress.has(code)) return [first]
      first.close()
      if (port !== 0 || code !== "EADDRINUSE" || attempt === attempts) throw error
    }
  }
}

async function addressOf(host: string): Promise<string> {
  return net.isIP(host) ? host : (await lookup(host)).address
}

async function bind(address: string, port: number): Promise<SocketHandle> {
  // A bound socket learns only when it listens that another one listens there, so a server of Node looks first.
  if (port !== 0) await tryPort(address, port)
  const handle = createHandle(address, port, net.isIPv6(address) ? 6 : 4, -1, 0)
  if (typeof handle !== "number") return handle
  const code = getSystemErrorName(handle)
  throw Object.assign(new Error(`bind ${code} ${address}:${port}`), { code })
}

async function tryPort(address: string, port: number): Promise<void> {
  const server = net.createServer((socket) => socket.destroy())
  server.listen({ host: address, port })
  await once(server, "listening")
  server.close()
  await once(server, "close")
}

function portOf(handle: SocketHandle): number {
  const name: { port?: number } = {}
  handle.getsockname(name)
  return name.port!
}
