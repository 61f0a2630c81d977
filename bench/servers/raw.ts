/**
 * The same answers, with the same headers in one `writeHead`, from node:http and pg alone: no routing table, validation,
 * roles, limits or log. The floor.
 */
import { hash, timingSafeEqual } from "node:crypto"
import http from "node:http"
import pg from "pg"
import { connectionOptions, type DatabaseAddress } from "../../kit/src/db/database.ts"

const address = JSON.parse(process.env.BENCH_DATABASE!) as DatabaseAddress
/** The headers that Trestle sends for a kind of answer, by the path asked. */
const headers = JSON.parse(process.env.BENCH_HEADERS!) as Record<string, string>
const keyHash = hash("sha256", "bench", "buffer")
const pool = new pg.Pool({ ...connectionOptions(address), max: 10 })

const send = (response: http.ServerResponse, status: number, body: unknown, more?: Record<string, string>) => {
  const text = JSON.stringify(body)
  response.writeHead(status, { ...headers, ...more, "content-length": Buffer.byteLength(text) })
  response.end(text)
}
const message = (text: string) => ({ message: text, timestamp: new Date().toISOString() })

const server = http.createServer(async (request, response) => {
  const url = request.url!
  if (url === "/api/health") send(response, 200, message("Server is healthy"))
  else if (url === "/api/login") {
    const isKey = timingSafeEqual(hash("sha256", String(request.headers["x-api-key"]), "buffer"), keyHash)
    send(response, isKey ? 200 : 401, message(isKey ? "Login successful." : "Invalid API key"))
  } else if (url.startsWith("/api/movies/?")) {
    const total = await pool.query("select count(*)::int as total from movies")
    const { rows } = await pool.query("select * from movies order by created, id limit $1 offset $2", [20, 0])
    send(response, 200, rows, { "x-total-count": String(total.rows[0].total) })
  } else {
    const { rows } = await pool.query("select * from movies where id = $1", [url.slice("/api/movies/".length)])
    send(response, 200, rows[0])
  }
})
server.listen(0, "127.0.0.1", () => process.send?.({ port: (server.address() as { port: number }).port }))
process.on("message", () => process.send?.(process.cpuUsage()))
// Whoever measures may be killed.
process.on("disconnect", () => process.exit())
