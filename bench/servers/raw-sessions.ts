/** The same answers from node:http and pg alone, with a session read from Redis for each request. The floor. */
import http from "node:http"
import { Redis } from "ioredis"
import pg from "pg"
import { connectionOptions, type DatabaseAddress } from "../../kit/src/db/database.ts"

const address = JSON.parse(process.env.BENCH_DATABASE!) as DatabaseAddress
/** The headers that Trestle sends. */
const headers = JSON.parse(process.env.BENCH_HEADERS!) as Record<string, string>
const pool = new pg.Pool({ ...connectionOptions(address), max: 10 })
const redis = new Redis(process.env.BENCH_REDIS!, { enableAutoPipelining: true })

const send = (response: http.ServerResponse, status: number, body: unknown) => {
  const text = JSON.stringify(body)
  response.writeHead(status, { ...headers, "content-length": Buffer.byteLength(text) })
  response.end(text)
}

const server = http.createServer(async (request, response) => {
  const [, token] = /session=([^;]+)/.exec(request.headers.cookie ?? "") ?? []
  const session = token && (await redis.get(`session:${token}`))
  const url = request.url!
  if (!session) send(response, 401, {})
  else if (request.method === "POST") {
    let text = ""
    for await (const chunk of request) text += chunk
    const { title, director } = JSON.parse(text)
    const { rows } = await pool.query("insert into movies (title, director, creator) values ($1, $2, $3) returning *", [
      title,
      director,
      JSON.parse(session).user,
    ])
    send(response, 201, rows[0])
  } else if (url === "/bench/movies") {
    const { rows } = await pool.query("select * from movies order by created, id limit 20")
    send(response, 200, rows)
  } else {
    const { rows } = await pool.query("select * from movies where id = $1", [url.slice("/bench/movies/".length)])
    send(response, 200, rows[0])
  }
})
server.listen(0, "127.0.0.1", () => process.send?.({ port: (server.address() as { port: number }).port }))
process.on("message", () => process.send?.(process.cpuUsage()))
// Whoever measures may be killed.
process.on("disconnect", () => process.exit())
