/** Requests with nothing between a test and the socket: any header, any source address, the answer's headers as they came. */
import http from "node:http"
import type { Duplex } from "node:stream"

export interface RawAnswer {
  status: number
  /** By lower-case name; what came twice is joined. */
  headers: http.IncomingHttpHeaders
  /** The names as they came. */
  names: string[]
  body: string
}

export interface RawRequest {
  method?: string
  headers?: Record<string, string | string[]>
  body?: string
  /** From which address; on Linux all of 127.0.0.0/8 is this machine. */
  from?: string
  /** A connection that is open already. */
  socket?: Duplex
}

export function ask(url: string, { method = "GET", headers = {}, body, from, socket }: RawRequest = {}) {
  return new Promise<RawAnswer>((resolve, reject) => {
    const connection = socket ? { createConnection: () => socket } : { agent: false as const, localAddress: from }
    const request = http.request(url, { method, headers, ...connection }, async (response) => {
      let text = ""
      for await (const chunk of response.setEncoding("utf8")) text += chunk
      const names = response.rawHeaders.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase())
      resolve({ status: response.statusCode!, headers: response.headers, names, body: text })
    })
    request.on("error", reject)
    request.end(body)
  })
}
