/** A server without a database, whose log the tests read. Its argument is JSON: settings as environment variables. */
import { hash } from "node:crypto"
import { Readable } from "node:stream"
import { type Api, defineApp, HttpError, type Routes, Type } from "trestle"
import { openCapabilities } from "../../src/capabilities.ts"
import { loadConfig } from "../../src/core/config/index.ts"
import { openLog } from "../../src/core/log/open.ts"
import { openDatabase } from "../../src/db/database.ts"
import { createServer } from "../../src/server.ts"

const open = { role: "visitor", schema: { hide: true, response: { "2xx": Type.Any() } } } as const

/** Takes longer than the millisecond after which the test says that a request is slow. */
function takeTime(): void {
  const end = performance.now() + 3
  while (performance.now() < end);
}

const routes: Routes = (api: Api) => {
  api.get("/", open, async () => ({ done: true }))
  api.post("/", open, async () => ({ done: true }))
  api.get("/slow", open, async () => {
    takeTime()
    return { done: true }
  })
  api.get("/closed", { ...open, role: "editor" }, async () => ({ done: true }))
  api.get("/reset/:token", open, async () => ({ done: true }))
  api.post("/tell", open, async (request) => {
    const { body, headers, query, raw } = request
    request.log.info({ body, headers, query, rawHeaders: raw.rawHeaders, req: request, raw }, "what came")
    request.log.info(`as text: ${JSON.stringify(body)} ${JSON.stringify(JSON.stringify(body))}`)
    return { done: true }
  })
  api.post("/fail", open, async ({ body, headers }) => {
    const { password, apiKey } = body as Record<string, string>
    const deep = Object.assign(new Error(`GET https://me:${password}@there/?token=${password} failed`), { body })
    const cause = new Error(`Authorization: ${headers.authorization}\nCookie: ${headers.cookie}`, { cause: deep })
    throw Object.assign(new Error(`bad password=${password} in {"api_key":"${apiKey}"}`, { cause }), { body, headers })
  })
  api.get("/told", open, async () => {
    throw new HttpError(500, "inside", { cause: { reason: "deep inside", secret: "hidden" } })
  })
  api.get("/forge", open, async ({ query }) => {
    throw new Error((query as { message: string }).message)
  })
  api.get("/stream", open, async (_request, reply) => reply.type("text/plain").send(Readable.from(["a", "b"]) as never))
  api.get("/events", open, async (_request, reply) => {
    takeTime()
    return reply.type("text/event-stream").send(Readable.from(["data: 1\n\n"]) as never)
  })
  api.get("/breaks", open, async (_request, reply) => {
    async function* halves() {
      yield "half"
      await new Promise(setImmediate)
      throw new Error("the source broke")
    }
    return reply.type("text/plain").send(Readable.from(halves()) as never)
  })
  api.get("/hang", open, () => new Promise<never>(() => {}))
  api.post("/hang", open, () => new Promise<never>(() => {}))
}

const { env, folder } = JSON.parse(process.argv[2]!) as { env: Record<string, string>; folder: string }
const app = defineApp({ name: "logged", folder, routes: { sample: routes } })
const config = loadConfig({ folder: "/nonexistent", env: { API_TOKEN_HASH: hash("sha256", "right"), ...env } })
const { log, close } = openLog(config.logging, { folder })
const settings = { poolSize: 1, connectTimeoutMs: 1, statementTimeoutMs: 1, idleInTransactionTimeoutMs: 1 }
const database = openDatabase(
  { url: "postgres://nobody@127.0.0.1:1/none" },
  { ...settings, preparedStatements: false, logSql: config.logging.sql },
  log,
)
const capabilities = openCapabilities({ app, config, mode: "production", database, log })
const server = await createServer({ app, config, mode: "production", database, capabilities, log })
const url = await server.listen({ host: "127.0.0.1", port: 0 })
process.stderr.write(`ready ${url}\n`)
process.stdin.resume().on("end", async () => {
  await server.close()
  await capabilities.close()
  await database.close()
  await close()
  process.exit(0)
})
