/**
 * What Node refuses before there is a request: a head that is no HTTP, one that is too large or too slow. The client gets the
 * same kind of problem as everywhere, and the connection is closed.
 */
import { type ServerResponse, STATUS_CODES } from "node:http"
import type { Socket } from "node:net"
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify"
import type { Config } from "../core/config/index.ts"
import type { Log } from "../core/log.ts"
import { answerError, problem } from "./problems.ts"
import { plainSecurityHeaders } from "./security-headers.ts"

/** The answers to Node's errors; any other is a 400. */
const refusals: Record<string, { status: number; detail: string }> = {
  ERR_HTTP_REQUEST_TIMEOUT: { status: 408, detail: "The request took too long to arrive." },
  HPE_HEADER_OVERFLOW: { status: 431, detail: "The head of the request is larger than 16 kB." },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: { status: 413, detail: "The chunk extensions of the body are too large." },
  ERR_CONNECT: { status: 501, detail: "This server is no proxy: there is no CONNECT." },
  HPE_INVALID_METHOD: { status: 501, detail: "The method is not one of HTTP." },
  HPE_INVALID_URL: { status: 400, detail: "The target is not a URL. Percent-encode its path and query." },
  HPE_INVALID_CONTENT_LENGTH: { status: 400, detail: "The Content-Length is wrong." },
  HPE_UNEXPECTED_CONTENT_LENGTH: { status: 400, detail: "Send Content-Length or Transfer-Encoding, not both." },
  HPE_INVALID_TRANSFER_ENCODING: { status: 400, detail: "The Transfer-Encoding is not chunked." },
  HPE_INVALID_CHUNK_SIZE: { status: 400, detail: "The body is not well chunked." },
  HPE_INVALID_EOF_STATE: { status: 400, detail: "The request ended before it was complete." },
  HPE_INVALID_HEADER_TOKEN: { status: 400, detail: "A header has characters that headers may not have." },
}

const unreadable = { status: 400, detail: "The request is not HTTP/1.1." }

/** What Node keeps on a connection: the answer that it is working on. */
type Answering = Socket & { _httpMessage?: ServerResponse }

/** Makes the `frameworkErrors` of Fastify: a target that its router cannot read comes before all hooks. */
export function refuseTargets(security: Config["security"]) {
  const headers = plainSecurityHeaders(security)
  return (error: Error, request: FastifyRequest, reply: FastifyReply): void => {
    reply.headers(headers).header("x-request-id", request.id)
    answerError(error, request, reply)
  }
}

/** Makes the `clientErrorHandler` of Fastify. */
export function refuseConnections(security: Config["security"], nextId: () => string, log: Log) {
  const requests = log.for("request")
  const constant = Object.entries(plainSecurityHeaders(security))
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join("")

  return (error: NodeJS.ErrnoException, socket: Socket): void => {
    if (error.code === "ECONNRESET" || !socket.writable) {
      socket.destroy()
      return
    }
    const { status, detail } = refusals[error.code ?? ""] ?? unreadable
    const id = nextId()
    requests.info(`Refused: ${status} to ${socket.remoteAddress ?? "-"}: ${error.code ?? error.message} id=${id}`)
    // A request before this one is still being answered: a 400 now would be taken for its answer.
    const answering = (socket as Answering)._httpMessage
    if (answering && (answering.headersSent || answering.req.complete)) {
      answering.once("close", () => socket.destroy())
      answering.shouldKeepAlive = false
      return
    }
    const body = JSON.stringify(problem(status, detail, id))
    socket.end(
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${constant}X-Request-Id: ${id}\r\n` +
        `Content-Type: application/problem+json; charset=utf-8\r\n` +
        `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
    )
    // The rest of what the client sends is not read; without this a half-closed connection would stay.
    socket.setTimeout(1000, () => socket.destroy())
  }
}

/** Answers CONNECT, which Node hands to nobody: without this it closes the connection without a word. */
export function refuseTunnels(api: FastifyInstance, refuse: ReturnType<typeof refuseConnections>): void {
  const error = Object.assign(new Error("CONNECT"), { code: "ERR_CONNECT" })
  api.server.on("connect", (_request, socket) => refuse(error, socket as Socket))
}
