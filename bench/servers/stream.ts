/** A static file the usual way, from node:http alone: opened, read and sent as a stream for each request. */
import fs from "node:fs"
import http from "node:http"
import { join } from "node:path"

const folder = process.env.BENCH_FOLDER!

const server = http.createServer((request, response) => {
  const file = join(folder, "static", request.url!)
  fs.stat(file, (error, stats) => {
    if (error) return void response.writeHead(404).end()
    response.writeHead(200, { "content-type": "text/css; charset=utf-8", "content-length": stats.size })
    fs.createReadStream(file).pipe(response)
  })
})
server.listen(0, "127.0.0.1", () => process.send?.({ port: (server.address() as { port: number }).port }))
process.on("message", () => process.send?.(process.cpuUsage()))
// Whoever measures may be killed.
process.on("disconnect", () => process.exit())
