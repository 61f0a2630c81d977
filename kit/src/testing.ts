/**
 * `trestle/testing`: an application under test, with a real server, a real PostgreSQL database of its own, and callers by
 * role. Works in any `node:test` file; `trestle test` only makes it faster, since all tests then share one PostgreSQL.
 */
import { randomBytes } from "node:crypto"
import { rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { TestContext } from "node:test"
import type { FastifyInstance } from "fastify"
import { sql } from "kysely"
import type { App } from "./app.ts"
import { createAccount } from "./auth/accounts.ts"
import { createApiKey } from "./auth/api-keys.ts"
import { createPasswords } from "./auth/passwords.ts"
import { type Capabilities, jobsOf, openCapabilities } from "./capabilities.ts"
import { type Config, loadConfig } from "./core/config/index.ts"
import { Log } from "./core/log.ts"
import type { Role } from "./core/roles.ts"
import { type Database, type Db, openDatabase } from "./db/database.ts"
import { ledgersOf } from "./db/migrations.ts"
import { type OpenRedis, openRedis } from "./db/redis.ts"
import { createTestDatabase } from "./db/test-database.ts"
import { declareJobs, openBoss } from "./jobs/boss.ts"
import type { AnyJob, Jobs } from "./jobs/job.ts"
import { type Ran, runNow } from "./jobs/run-now.ts"
import { Settling } from "./jobs/settle.ts"
import { readMail } from "./mail/read-mail.ts"
import { transportOf } from "./mail/settings.ts"
import type { Transport } from "./mail/transport.ts"
import { createServer } from "./server.ts"
import type { Kv } from "./store/kv.ts"

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

/** A person who is logged in. */
export interface Person extends Caller {
  email: string
  password: string
}

/** An application under test. */
export interface TestApp {
  /** Where it listens, as in `http://127.0.0.1:40123`. */
  url: string
  /** Someone who is not logged in. */
  visitor: Caller
  /** Someone with this role; the same one each time, or another for each `name`. */
  as(role: Exclude<Role, "visitor">, name?: string): Caller
  /** A person with an account of this role, logged in with the cookie of a session; another for each `name`. */
  person(role: Exclude<Role, "visitor">, name?: string): Person
  /** Its database, to prepare and to look into. */
  db: Db
  /** Its key-value store: in its database, or in the Redis of `REDIS_URL` under a prefix of its own. */
  kv: Kv
  /** Its background jobs: nothing runs until it is told to. */
  jobs: TestJobs
  /** The mails that were sent, oldest first: they are sent by jobs, so when those have run. */
  mails: SentMail[]
  /** Fastify itself. */
  server: FastifyInstance
  config: Config
  /** What it logged so far, a line each, from WARN up, or from `LOGGING_LEVEL` where that is set. */
  log: string[]
}

/** Background jobs under test. */
export interface TestJobs extends Jobs {
  /** What was sent and has not run, oldest first; of one job, or of all. */
  sent(job?: AnyJob): Promise<{ name: string; data: unknown }[]>
  /**
   * Runs what is due, and what that sends, one after the other, until there is nothing; returns what ran. An attempt that fails
   * is in the list with its error. `early`: also what is delayed, or waits to be tried again.
   */
  run(options?: { early?: boolean }): Promise<Ran[]>
}

/** A mail that was sent, as its reader sees it. */
export interface SentMail {
  /** The id of the job that sent it. */
  id: string
  from: string
  to: string
  subject: string
  text: string
  html?: string
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
  const log = new Log(env.LOGGING_LEVEL ?? "warn", "server", (line) => void lines.push(line))

  const folder = join(tmpdir(), `trestle-test-${randomBytes(6).toString("hex")}`)
  const mails: SentMail[] = []
  const transport = recorded(transportOf(config, mode, folder), mails)
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
  let redis: OpenRedis | undefined
  let capabilities: Capabilities | undefined
  let server: FastifyInstance | undefined
  t.after(async () => {
    await server?.close()
    await capabilities?.close()
    if (redis) await removeKeys(redis)
    await redis?.close()
    await database.close()
    await testDatabase.drop()
    await rm(folder, { recursive: true, force: true })
  })
  if (config.redis.url) redis = await openRedis(config.redis.url, `test-${randomBytes(6).toString("hex")}:`, log)
  await declareJobs(database, jobsOf(app), log)
  capabilities = openCapabilities({ app, config, mode, database, redis, transport, log })
  server = await createServer({ app, config, mode, database, capabilities, redis, log })
  const url = await server.listen({ host: "127.0.0.1", port: 0 })
  const testJobs = jobsUnderTest({ jobs: jobsOf(app), database, capabilities, log })

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
  const cookies = new Map<string, Promise<string>>()
  const person: TestApp["person"] = (role, name = role) => {
    const credentials = { email: `${name}@example.com`.toLowerCase(), password: "Correct horse 7" }
    const key = `${role} ${name}`
    const isVerified = config.accounts.verify_email === "required"
    if (!cookies.has(key)) cookies.set(key, logIn(url, database.db, { role, name, isVerified, ...credentials }))
    return { ...caller(url, async () => ({ cookie: await cookies.get(key)! })), ...credentials }
  }
  const visitor = caller(url, async () => ({}))
  const { kv } = capabilities
  return { url, visitor, as, person, db: database.db, jobs: testJobs, mails, kv, server, config, log: lines }
}

/** Keeps what is sent, as it went out. */
function recorded(transport: Transport, mails: SentMail[]): Transport {
  const send = transport.send.bind(transport)
  transport.send = async (mail, signal) => {
    await send(mail, signal)
    const { headers, text, html } = readMail(mail.raw)
    const [from = "", to = "", subject = ""] = ["from", "to", "subject"].map((name) => headers.get(name))
    mails.push({ id: mail.id, from, to, subject, text, ...(html !== undefined && { html }) })
  }
  return transport
}

function jobsUnderTest({
  jobs,
  database,
  capabilities,
  log,
}: {
  jobs: AnyJob[]
  database: Database
  capabilities: Capabilities
  log: Log
}): TestJobs {
  return {
    ...capabilities.jobs,
    async sent(job) {
      const names = job ? [job.name] : jobs.map(({ name }) => name)
      const { rows } = await sql<{ name: string; data: unknown }>`
        select name, data from trestle_jobs.job where name = any(${names}) and state < 'active' order by created_on, id
      `.execute(database.db)
      return rows
    },
    async run({ early = false } = {}) {
      const boss = await openBoss(database.pool, { supervises: false, schedules: false }, log)
      const settling = new Settling({ boss, db: database.db, log })
      const options = { boss, db: database.db, settling, context: capabilities.context, log, stuck() {} }
      return runNow(jobs, options, early).finally(() => boss.stop({ graceful: false }))
    },
  }
}

/** Makes an account and logs in to it; returns the cookies. */
async function logIn(
  url: string,
  db: Db,
  {
    email,
    password,
    role,
    name,
    isVerified,
  }: { email: string; password: string; role: string; name: string; isVerified: boolean },
): Promise<string> {
  const hash = await hashOf(password)
  const names = { first_name: name, last_name: "Miller" }
  if (!(await createAccount(db, { email, password: hash, role, isVerified, ...names }))) {
    throw new Error(`The name "${name}" is another person's in this test: give each role its own.`)
  }
  const answer = await caller(url, async () => ({})).post("/api/login", { email, password })
  if (answer.status !== 200) throw new Error(`${email} cannot log in: ${answer.status} ${JSON.stringify(answer.body)}`)
  return answer.headers
    .getSetCookie()
    .map((line) => line.split(";", 1)[0])
    .join("; ")
}

const hashes = new Map<string, Promise<string>>()

/** Made once in a process: each takes 20 ms, as it should. */
function hashOf(password: string): Promise<string> {
  const known = hashes.get(password)
  if (known) return known
  const passwords = createPasswords()
  const made = passwords.hash(password).finally(() => passwords.close())
  hashes.set(password, made)
  return made
}

/** Leaves nothing of a test behind, unless the test has stopped its Redis. */
async function removeKeys({ client, prefix }: OpenRedis): Promise<void> {
  try {
    for await (const keys of client.scanStream({ match: `${prefix}*`, count: 1000 })) {
      if (keys.length > 0) await client.unlink(...keys)
    }
  } catch {}
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
