/** The same two endpoints from Fastify with the usual plugins and its default request log. */
import cors from "@fastify/cors"
import helmet from "@fastify/helmet"
import rateLimit from "@fastify/rate-limit"
import Fastify from "fastify"

const fastify = Fastify({ logger: true, trustProxy: "127.0.0.1" })
await fastify.register(helmet)
await fastify.register(cors, { origin: ["https://app.example.org"] })
await fastify.register(rateLimit, { max: 1e9, timeWindow: "1 minute" })

fastify.get("/api/health", async () => ({ message: "Server is healthy", timestamp: new Date().toISOString() }))
fastify.get("/api/login", async (request, reply) => {
  if (request.headers["x-api-key"] !== "bench") return reply.code(401).send({ message: "Invalid API key" })
  return { message: "Login successful.", timestamp: new Date().toISOString() }
})

await fastify.listen({ host: "127.0.0.1", port: 0 })
process.on("message", () => process.send(process.cpuUsage()))
process.send({ port: fastify.server.address().port })
// Whoever measures may be killed.
process.on("disconnect", () => process.exit())
