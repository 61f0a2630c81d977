/**
 * `trestle/testing`: an application under test, with a real server, a real PostgreSQL database of its own, and callers by
 * role. Works in any `node:test` file; `trestle test` only makes it faster, since all tests then share one PostgreSQL.
 */
import type { TestContext } from "node:test"
import type { FastifyInstance } from "fastify"
import type { App } from "./app.ts"
import { createApiKey } from "./auth/api-keys.ts"
import { type Config, loadConfig } from "./core/config/index.ts"
import { Log } from "./core/log.ts"
import type { Role } from "./core/roles.ts"
import { type Db, openDatabase } from "./db/database.ts"
import { ledgersOf } from "./db/migrations.ts"
import { createTestDatabase } from "./db/test-database.ts"
import { createServer } from "./server.ts"

/** An answer, with its body read: JSON as a value, other text as a string, none as undefined. */
export interface Answer {
  status: number
  headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into it and fails where it is not what it expects.
  body: any
}

/** Someone who calls the server. A body is sent as JSON. */
export interface Caller {
  get(path: string, headers?: Record<string, string>): Promise<Answer>
  post(path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>
  put(path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>
  patch(path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>
  delete(path: string, headers?: Record<string, string>): Promise<Answer>
  /** Any request. */
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>
}

/** An application under test. */
export interface TestApp {
  /** Where it listens, as in `http://127.0.0.1:40123`. */
  url: string
  /** Someone who is not logged in. */
  visitor: Caller
  /** Someone with this role; the same one each time, or another for each `name`. */
  as(role: Exclude<Role, "visitor">, name?: string): Caller
  /** Its database, to prepare and to look into. */
  db: Db
  /** Fastify itself. */
  server: FastifyInstance
  config: Config
  /** What it logged so far, a line each, from WARN up. */
  log: string[]
}

export interface TestOptions {
  /**
   * Settings as the environment would give them: `{ ROLES_DENIED_STATUS: "401" }`. Nothing else is read. Rate limits are off
   * unless `RATE_LIMIT_ENABLED` is `"true"`.
   */
  env?: Record<string, string>
  /** `"production"` shows how a route behaves there. Default "test". */
  mode?: "test" | "production"
}

/** Starts an application for a test, and stops it when the test ends. */
export async function testApp(
  t: TestContext,
  app: App,
  { env = {}, mode = "test" }: TestOptions = {},
): Promise<TestApp> {
  // All tests call from one address, more often than a client may.
  const settings = { RATE_LIMIT_ENABLED: "false", ...env }
  const config = loadConfig({ folder: "/nonexistent", env: settings, ...(app.config && { sections: app.config }) })
  const lines: string[] = []
  const log = new Log("warn", "server", (line) => void lines.push(line))

  const testDatabase = await createTestDatabase(await ledgersOf(app.folder))
  const database = openDatabase(
    testDatabase.address,
    {
      poolSize: config.database.pool_size,
      connectTimeoutMs: config.database.connect_timeout,
      statementTimeoutMs: config.database.statement_timeout,
      idleInTransactionTimeoutMs: config.database.idle_in_transaction_timeout,
      preparedStatements: config.database.prepared_statements,
      logSql: config.logging.sql,
    },
    log,
  )
  let server: FastifyInstance | undefined
  t.after(async () => {
    await server?.close()
    await database.close()
    await testDatabase.drop()
  })
  server = await createServer({ app, config, mode, database, log })
  const url = await server.listen({ host: "127.0.0.1", port: 0 })

  const tokens = new Map<string, Promise<string>>()
  const as: TestApp["as"] = (role, name = role) => {
    const key = `${role} ${name}`
    if (!tokens.has(key))
      tokens.set(
        key,
        createApiKey(database.db, { role, name }).then(({ token }) => token),
      )
    return caller(url, async () => ({ "x-api-key": await tokens.get(key)! }))
  }
  return { url, visitor: caller(url, async () => ({})), as, db: database.db, server, config, log: lines }
}

function caller(url: string, credentials: () => Promise<Record<string, string>>): Caller {
  const call: Caller["call"] = async (method, path, body, headers) => {
    const response = await fetch(url + path, {
      method,
      redirect: "manual",
      headers: {
        ...(await credentials()),
        ...(body !== undefined && { "content-type": "application/json" }),
        ...headers,
      },
      ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
    })
    const text = await response.text()
    const isJson = /\bjson\b/.test(response.headers.get("content-type") ?? "")
    return {
      status: response.status,
      headers: response.headers,
      body: text === "" ? undefined : isJson ? JSON.parse(text) : text,
    }
  }
  return {
    call,
    get: (path, headers) => call("GET", path, undefined, headers),
    post: (path, body, headers) => call("POST", path, body, headers),
    put: (path, body, headers) => call("PUT", path, body, headers),
    patch: (path, body, headers) => call("PATCH", path, body, headers),
    delete: (path, headers) => call("DELETE", path, undefined, headers),
  }
}
