/** Where the server listens. `localhost` is both loopback addresses, whatever this machine's resolver says of the name. */
import { once } from "node:events"
import net, { type AddressInfo } from "node:net"
import tls from "node:tls"
import type { FastifyInstance } from "fastify"

/** How often another port is tried when the system gave one that is taken at the other address. */
const attempts = 20

/** An address that this machine does not have: no IPv6, or none for loopback. */
const meansNoAddress = new Set(["EADDRNOTAVAIL", "EAFNOSUPPORT", "EINVAL"])

/** A server that listens. */
export interface Listening {
  /** With port 0 the one that the system gave, the same for both addresses of localhost. */
  port: number
  /** Accepts nothing more, closes the server, and settles when all requests are answered. */
  close(): Promise<void>
}

/**
 * Listens. Fastify would ask the resolver for `localhost`, which on many machines knows only 127.0.0.1, and would pass over
 * in silence a port that is taken at the second address.
 */
export async function listen(
  server: FastifyInstance,
  { host, port }: { host: string; port: number },
): Promise<Listening> {
  const portOf = () => (server.server.address() as AddressInfo).port
  const cutSilent = watchSilent(server.server)
  if (host !== "localhost") {
    await server.listen({ host, port })
    return {
      port: portOf(),
      close() {
        const closed = server.close()
        cutSilent()
        return closed
      },
    }
  }
  await server.ready()
  // HTTP answers a client that has closed its half; TLS does not, and its sockets would stay.
  const allowHalfOpen = !(server.server instanceof tls.Server)
  for (let attempt = 1; ; attempt++) {
    const second = net.createServer({ allowHalfOpen, noDelay: true })
    // One server for both: it has one certificate and one list of connections.
    second.on("connection", (socket) => server.server.emit("connection", socket))
    const given = await open(second, "::1", port)
    try {
      await server.listen({ host: "127.0.0.1", port: given ?? port })
    } catch (error) {
      second.close()
      const isChance = port === 0 && (error as NodeJS.ErrnoException).code === "EADDRINUSE"
      if (!isChance || attempt === attempts) throw error
      continue
    }
    return {
      port: portOf(),
      async close() {
        const closed = [server.close(), new Promise((resolve) => second.close(resolve))]
        cutSilent()
        await Promise.all(closed)
      },
    }
  }
}

/**
 * Knows the connections on which nothing was asked yet, as browsers open them in advance: Node does not count them as idle, and
 * closing would wait for their time-out. Returns the function that cuts them.
 */
export function watchSilent(server: FastifyInstance["server"]): () => void {
  const silent = new Set<net.Socket>()
  server.on(server instanceof tls.Server ? "secureConnection" : "connection", (socket: net.Socket) => {
    silent.add(socket)
    socket.once("close", () => silent.delete(socket))
  })
  server.on("request", (request: { socket: net.Socket }) => void silent.delete(request.socket))
  return () => {
    for (const socket of silent) socket.destroy()
  }
}

/** The port; undefined where there is no such address. */
async function open(server: net.Server, host: string, port: number): Promise<number | undefined> {
  server.listen({ host, port })
  try {
    await once(server, "listening")
  } catch (error) {
    if (meansNoAddress.has((error as NodeJS.ErrnoException).code ?? "")) return undefined
    throw error
  }
  return (server.address() as AddressInfo).port
}
