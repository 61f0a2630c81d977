/**
 * Accepts connections from sockets that the supervisor owns, and lets go of them again: for good when the process ends, for a
 * while when it has more than its share of connections.
 */
import { once } from "node:events"
import net from "node:net"
import { setTimeout as pause } from "node:timers/promises"
import tls from "node:tls"
import type { FastifyInstance } from "fastify"

/** How many connections may wait to be accepted; the kernel has a limit of its own (net.core.somaxconn). */
const backlog = 4096
/** How often a server that ends looks whether all connections have ended. */
const lookEveryMs = 50

export class Acceptor {
  private readonly server: FastifyInstance
  private readonly cutSilent: () => void
  /** One for each socket. The first is the HTTP server itself, whose time-outs begin with its listening. */
  private readonly listeners: net.Server[]
  private isEnding = false
  /** So many connections are closed after their next answer. */
  private toShed = 0

  constructor(server: FastifyInstance) {
    this.server = server
    this.cutSilent = watchSilent(server.server)
    this.listeners = [server.server]
    server.server.prependListener("request", (_request, response) => {
      if (this.isEnding) response.shouldKeepAlive = false
      else if (this.toShed > 0) {
        this.toShed--
        response.shouldKeepAlive = false
      }
    })
  }

  /** Accepts from these sockets; what it accepted from before it has let go of. */
  async listen(sockets: net.Socket[]): Promise<void> {
    await this.server.ready()
    this.toShed = 0
    for (const [i, socket] of sockets.entries()) {
      this.listeners[i] ??= this.forwarder()
      // A process that was busy is offered them several times.
      if (this.listeners[i].listening) letGo(socket)
      else this.listeners[i].listen(socket, backlog)
    }
    await Promise.all(this.listeners.map((listener) => listener.listening || once(listener, "listening")))
  }

  /** Lets go of the sockets: connections that it has stay, and new ones go to other processes. */
  pause(): void {
    for (const listener of this.listeners) {
      // http's own `close` would cut idle connections, on which a client may be about to ask.
      if (listener.listening) net.Server.prototype.close.call(listener)
    }
  }

  /** Closes so many connections, each after its next answer, and accepts no more until it listens again. */
  shed(connections: number): void {
    this.toShed = connections
    this.pause()
  }

  /** How many connections there are. */
  async connections(): Promise<number> {
    const counts = this.listeners.map(
      (listener) => new Promise<number>((resolve) => listener.getConnections((_error, count) => resolve(count ?? 0))),
    )
    return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0)
  }

  /**
   * Answers what is in flight and settles when no connection is left. Idle ones get the time that clients were promised for
   * their next request, unless nobody takes over; whatever is left after the limit is cut.
   */
  async end({ limitMs, hasSuccessor }: { limitMs: number; hasSuccessor: boolean }): Promise<void> {
    this.isEnding = true
    this.pause()
    const { server } = this.server
    const cutIdle = () => {
      this.cutSilent()
      server.closeIdleConnections()
    }
    const patience = Math.min(server.keepAliveTimeout + 1000, limitMs)
    const timers = [
      setTimeout(cutIdle, hasSuccessor ? patience : 0),
      setTimeout(() => server.closeAllConnections(), limitMs),
    ]
    // A connection whose last answer was on its way counts as idle a moment later.
    while ((await this.connections()) > 0) {
      await pause(lookEveryMs)
      if (!hasSuccessor) cutIdle()
    }
    for (const timer of timers) clearTimeout(timer)
  }

  private forwarder(): net.Server {
    const { server } = this.server
    // HTTP answers a client that has closed its half; TLS does not, and its sockets would stay.
    const forwarder = net.createServer({ allowHalfOpen: !(server instanceof tls.Server), noDelay: true })
    // One server for all sockets: it has one certificate and one list of connections.
    return forwarder.on("connection", (socket) => server.emit("connection", socket))
  }
}

/** What came from another process is a handle of Node's, whatever the types say; one that is forgotten would stay open. */
export const letGo = (socket: net.Socket): void => (socket as unknown as { close(): void }).close()

/**
 * Knows the connections on which nothing was asked yet, as browsers open them in advance: Node does not count them as idle, and
 * closing would wait for their time-out. Returns the function that cuts them.
 */
function watchSilent(server: FastifyInstance["server"]): () => void {
  const silent = new Set<net.Socket>()
  const watch = (socket: net.Socket) => {
    silent.add(socket)
    socket.once("close", () => silent.delete(socket))
  }
  if (server instanceof tls.Server) {
    // The handshake makes another socket of a bare one; whoever never begins it, as a scanner of ports, is silent too.
    const bare = new Map<string, net.Socket>()
    server.on("connection", (socket: net.Socket) => {
      const peer = peerOf(socket)
      bare.set(peer, socket)
      socket.once("close", () => bare.get(peer) === socket && bare.delete(peer))
      watch(socket)
    })
    server.on("secureConnection", (socket: net.Socket) => {
      const peer = peerOf(socket)
      silent.delete(bare.get(peer)!)
      bare.delete(peer)
      watch(socket)
    })
  } else server.on("connection", watch)
  server.on("request", (request: { socket: net.Socket }) => void silent.delete(request.socket))
  return () => {
    for (const socket of silent) socket.destroy()
  }
}

const peerOf = ({ remoteAddress, remotePort }: net.Socket): string => `${remoteAddress} ${remotePort}`
