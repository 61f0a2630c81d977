// @together
import assert from "node:assert/strict"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { effectiveSettings, loadConfig } from "../src/core/config/index.ts"

const hash = "a".repeat(64)

function folderWith(t: TestContext, files: Record<string, string> = {}): string {
  const folder = mkdtempSync(join(tmpdir(), "trestle-config-"))
  t.after(() => rmSync(folder, { recursive: true }))
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content)
  return folder
}

test("without any file or variable everything has its default", (t) => {
  const { server, database, redis, api_keys, roles, workers } = loadConfig({ folder: folderWith(t), env: {} })
  assert.deepEqual([server.host, server.port, server.body_limit], ["localhost", 8100, 1_000_000])
  assert.deepEqual(
    { database, redis, api_keys, roles, workers },
    {
      database: {
        url: undefined,
        pool_size: 10,
        connect_timeout: 5000,
        statement_timeout: 30_000,
        idle_in_transaction_timeout: 60_000,
        prepared_statements: true,
      },
      redis: { url: undefined, prefix: undefined },
      api_keys: { enabled: true, environment_hash: undefined, environment_role: "admin" },
      roles: { denied_status: 403 },
      workers: {
        web: undefined,
        request_timeout: 20_000,
        block_timeout: 5000,
        boot_timeout: 60_000,
        jobs: 1,
        stop_delay: 0,
        stop_timeout: 30_000,
        max_requests: 0,
        max_age: undefined,
        soft_memory: undefined,
        hard_memory: undefined,
        user: undefined,
      },
    },
  )
})

test("config.json stands above the defaults, .env above config.json, and the environment above all", (t) => {
  const json = { "config.json": `{ "server": { "port": 1, "host": "a" } }` }
  assert.equal(loadConfig({ folder: folderWith(t, json), env: {} }).server.port, 1)
  const both = folderWith(t, { ...json, ".env": "PORT=2" })
  const { host, port, body_limit } = loadConfig({ folder: both, env: {} }).server
  assert.deepEqual([host, port, body_limit], ["a", 2, 1_000_000])
  assert.equal(loadConfig({ folder: both, env: { PORT: "3" } }).server.port, 3)
})

test("an empty variable counts as not set", (t) => {
  const folder = folderWith(t, { "config.json": `{ "server": { "port": 1 } }`, ".env": "PORT=\nHOST=b" })
  const { server } = loadConfig({ folder, env: { HOST: "" } })
  assert.deepEqual([server.port, server.host], [1, "b"])
})

test("each variable has the name and the type that the documentation says", (t) => {
  const config = loadConfig({
    folder: folderWith(t),
    env: {
      HOST: "0.0.0.0",
      PORT: "0",
      SERVER_BODY_LIMIT: "64 KiB",
      DATABASE_URL: "postgres://me:p%23ss@db/movies",
      DATABASE_POOL_SIZE: "3",
      DATABASE_CONNECT_TIMEOUT: "250 ms",
      DATABASE_PREPARED_STATEMENTS: "0",
      REDIS_URL: "rediss://:pw@cache:6379/0",
      API_KEYS_ENABLED: "false",
      API_TOKEN_HASH: hash.toUpperCase(),
      API_KEYS_ENVIRONMENT_ROLE: "readonly",
      ROLES_DENIED_STATUS: "401",
      WORKERS_REQUEST_TIMEOUT: "1.5 min",
      LOGGING_LEVEL: "debug",
      LOG_SQL: "values",
    },
  })
  assert.deepEqual([config.server.host, config.server.port, config.server.body_limit], ["0.0.0.0", 0, 65_536])
  assert.equal(config.database.url, "postgres://me:p%23ss@db/movies")
  assert.equal(config.database.pool_size, 3)
  assert.equal(config.database.connect_timeout, 250)
  assert.equal(config.database.prepared_statements, false)
  assert.equal(config.redis.url, "rediss://:pw@cache:6379/0")
  assert.deepEqual({ ...config.api_keys }, { enabled: false, environment_hash: hash, environment_role: "readonly" })
  assert.equal(config.roles.denied_status, 401)
  assert.equal(config.workers.request_timeout, 90_000)
  assert.deepEqual([config.logging.level, config.logging.sql], ["debug", "values"])
})

test("LOG_SQL is off, on, or on with values", (t) => {
  const folder = folderWith(t)
  const sql = (LOG_SQL: string) => loadConfig({ folder, env: { LOG_SQL } }).logging.sql
  assert.deepEqual(["0", "false", "1", "true", "values"].map(sql), [false, false, true, true, "values"])
})

test("a PostgreSQL behind a socket can be named", (t) => {
  const folder = folderWith(t)
  for (const DATABASE_URL of ["postgres:///movies?host=/run/postgresql", "postgresql://me@/movies?host=/run"]) {
    assert.equal(loadConfig({ folder, env: { DATABASE_URL } }).database.url, DATABASE_URL)
  }
})

test("files saved on Windows load: a byte order mark, and lines that end in CR LF", (t) => {
  const folder = folderWith(t, { "config.json": `\uFEFF{\r\n"server": {"port": 1}\r\n}`, ".env": "\uFEFFHOST=b\r\n" })
  const { server } = loadConfig({ folder, env: {} })
  assert.deepEqual([server.port, server.host], [1, "b"])
})

test(".env does not leak into the environment of child processes", (t) => {
  const env = {}
  loadConfig({ folder: folderWith(t, { ".env": "PORT=2" }), env })
  assert.deepEqual(env, {})
})

test("the configuration cannot be changed, at any depth", (t) => {
  const config = loadConfig({ folder: folderWith(t), env: {} })
  assert.throws(() => Object.assign(config, { server: {} }), TypeError)
  assert.throws(() => Object.assign(config.server, { port: 1 }), TypeError)
  // @ts-expect-error the type says so too
  assert.throws(() => (config.server.port = 1), TypeError)
})

test("no variable turns production into development", (t) => {
  const folder = folderWith(t)
  const plain = loadConfig({ folder, env: {} })
  const names = ["NODE_ENV", "ENV", "ENVIRONMENT", "APP_ENV", "MODE", "DEV", "DEBUG", "FLASK_ENV", "TRESTLE_ENV"]
  const env = Object.fromEntries(names.map((name) => [name, "development"]))
  assert.deepEqual(loadConfig({ folder, env }), plain)
  assert.deepEqual(loadConfig({ folder: folderWith(t, { ".env": "NODE_ENV=development" }), env: {} }), plain)
})

test("each setting tells where its value came from, and secrets are masked", (t) => {
  const folder = folderWith(t, {
    "config.json": `{ "workers": { "request_timeout": "9 s" } }`,
    ".env": "# mine\nPORT=2",
  })
  const settings = effectiveSettings({ folder, env: { DATABASE_URL: "postgres://u:canary@h/d" } })
  const of = (key: string) => settings.find((setting) => setting.key === key)
  const timeout = { key: "workers.request_timeout", env: "WORKERS_REQUEST_TIMEOUT", value: "9 s", from: "config.json" }
  assert.deepEqual(of("workers.request_timeout"), timeout)
  assert.deepEqual(of("server.port"), { key: "server.port", env: "PORT", value: 2, from: ".env line 2" })
  assert.deepEqual(of("server.host"), { key: "server.host", env: "HOST", value: "localhost", from: "default" })
  const database = { key: "database.url", env: "DATABASE_URL", value: "(secret)", from: "environment" }
  assert.deepEqual(of("database.url"), database)
  assert.equal(of("redis.url")?.value, undefined)
  assert.deepEqual(of("sign_in.providers")?.value, [])
})
