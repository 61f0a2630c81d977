/** A server of Node alone, beside others on the same port: what a machine makes of processes that share the work. */
import http from "node:http"
import type { AddressInfo } from "node:net"

const body = JSON.stringify({ pid: process.pid })
const head = { "content-type": "application/json", "content-length": body.length }
const server = http.createServer((_, response) => response.writeHead(200, head).end(body))
server.listen({ port: Number(process.argv[2]), host: "127.0.0.1", reusePort: true }, () =>
  process.send?.((server.address() as AddressInfo).port),
)
process.on("disconnect", () => process.exit())
process.on("SIGINT", () => {})
