/** A static file the fastest way: read once, and sent from memory by node:http alone. The floor. */
import fs from "node:fs"
import http from "node:http"
import { join } from "node:path"

const folder = process.env.BENCH_FOLDER!
const files = new Map<string, Buffer>()

const server = http.createServer((request, response) => {
  const url = request.url!
  const file = files.get(url) ?? fs.readFileSync(join(folder, "static", url))
  files.set(url, file)
  response.writeHead(200, { "content-type": "text/css; charset=utf-8", "content-length": file.length })
  response.end(file)
})
server.listen(0, "127.0.0.1", () => process.send?.({ port: (server.address() as { port: number }).port }))
process.on("message", () => process.send?.(process.cpuUsage()))
// Whoever measures may be killed.
process.on("disconnect", () => process.exit())
