/** A receiver of webhooks: a real server on this machine, which keeps what came and answers what the test says. */
import { EventEmitter, once } from "node:events"
import http from "node:http"
import https from "node:https"
import type { AddressInfo } from "node:net"
import type { TestContext } from "node:test"

export interface Received {
  method: string
  url: string
  headers: http.IncomingHttpHeaders
  body: string
  /** Which address of this machine was connected to. */
  address: string
  /** The name that TLS asked for. */
  servername: string | false | undefined
}

export interface Receiver {
  port: number
  received: Received[]
  /** The one that comes as the nth, from 1, when it has come; then the answer was asked for. */
  nth(n: number): Promise<Received>
}

export type Answering = (received: Received, response: http.ServerResponse) => void

export interface ReceiverOptions {
  tls?: { key: string; cert: string }
  host?: string
  port?: number
}

/** Starts one; it answers 204 when nothing else is said. */
export async function startReceiver(
  t: TestContext,
  answer: Answering = (_received, response) => void response.writeHead(204).end(),
  { tls, host = "127.0.0.1", port = 0 }: ReceiverOptions = {},
): Promise<Receiver> {
  const received: Received[] = []
  const came = new EventEmitter().setMaxListeners(0)
  const listener: http.RequestListener = async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const { method = "", url = "", headers, socket } = request
    const body = Buffer.concat(chunks).toString()
    const { servername } = socket as { servername?: string | false }
    const one = { method, url, headers, body, address: socket.localAddress!, servername }
    received.push(one)
    answer(one, response)
    came.emit("one")
  }
  const server = tls ? https.createServer(tls, listener) : http.createServer(listener)
  await new Promise<void>((resolve, reject) => server.on("error", reject).listen(port, host, resolve))
  t.after(() => {
    server.closeAllConnections()
    return new Promise<void>((resolve) => server.close(() => resolve()))
  })
  return {
    port: (server.address() as AddressInfo).port,
    received,
    async nth(n) {
      while (received.length < n) await once(came, "one")
      return received[n - 1]!
    },
  }
}
