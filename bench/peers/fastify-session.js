/** The same from Fastify with its usual plugins, request log, and @fastify/session on Redis. */
import cookie from "@fastify/cookie"
import cors from "@fastify/cors"
import helmet from "@fastify/helmet"
import rateLimit from "@fastify/rate-limit"
import session from "@fastify/session"
import Fastify from "fastify"
import { Redis } from "ioredis"
import pg from "pg"

const redis = new Redis(process.env.BENCH_REDIS, { enableAutoPipelining: true })
const store = {
  get: (id, done) => redis.get(`peer:${id}`).then((text) => done(null, text && JSON.parse(text)), done),
  set: (id, value, done) => redis.set(`peer:${id}`, JSON.stringify(value)).then(() => done(), done),
  destroy: (id, done) => redis.del(`peer:${id}`).then(() => done(), done),
}
const pool = new pg.Pool({ ...JSON.parse(process.env.BENCH_PG), max: 10 })

const fastify = Fastify({ logger: true, trustProxy: "127.0.0.1" })
await fastify.register(helmet)
await fastify.register(cors, { origin: ["https://app.example.org"] })
await fastify.register(rateLimit, { max: 1e9, timeWindow: "1 minute" })
await fastify.register(cookie)
await fastify.register(session, { secret: "a secret of at least 32 characters", cookie: { secure: false }, store })

const loggedIn = async (request, reply) => {
  if (!request.session.user) return reply.code(401).send({})
}
fastify.get("/login", async (request) => {
  request.session.user = "00000000-0000-8000-8000-000000000001"
  return {}
})
fastify.get("/bench/movies/:id", { preHandler: loggedIn }, async ({ params }) => {
  const { rows } = await pool.query("select * from movies where id = $1", [params.id])
  return rows[0]
})
fastify.get("/bench/movies", { preHandler: loggedIn }, async () => {
  const { rows } = await pool.query("select * from movies order by created, id limit 20")
  return rows
})
fastify.post("/bench/movies", { preHandler: loggedIn }, async ({ body, session }, reply) => {
  const sql = "insert into movies (title, director, creator) values ($1, $2, $3) returning *"
  const { rows } = await pool.query(sql, [body.title, body.director, session.user])
  return reply.code(201).send(rows[0])
})

await fastify.listen({ host: "127.0.0.1", port: 0 })
process.on("message", () => process.send(process.cpuUsage()))
process.send({ port: fastify.server.address().port })
// Whoever measures may be killed.
process.on("disconnect", () => process.exit())
