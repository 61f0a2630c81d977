// @together
import assert from "node:assert/strict"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { loadConfig } from "../src/core/config/index.ts"
import { KitSchema } from "../src/core/config/schema.ts"
import { BootError } from "../src/core/errors.ts"

interface Sources {
  json?: string | object
  file?: string
  env?: Record<string, string>
}

/** The lines of the message, without its title; empty where all is well. */
function faults(t: TestContext, { json, file, env = {} }: Sources): string[] {
  const folder = mkdtempSync(join(tmpdir(), "trestle-config-"))
  t.after(() => rmSync(folder, { recursive: true }))
  if (json !== undefined) {
    writeFileSync(join(folder, "config.json"), typeof json === "string" ? json : JSON.stringify(json))
  }
  if (file !== undefined) writeFileSync(join(folder, ".env"), file)
  try {
    loadConfig({ folder, env })
    return []
  } catch (error) {
    assert.ok(error instanceof BootError, String(error))
    return error.message
      .split("\n")
      .slice(1)
      .map((line) => line.replace("  - ", ""))
  }
}

test("a number is a number from its first to its last character", (t) => {
  for (const PORT of ["12abc", "0x50", "1e3", " 80", "80 ", "8_000", "-1", "65536", "80.5", "NaN"]) {
    assert.deepEqual(faults(t, { env: { PORT } }), [
      `environment: PORT (server.port) must be a whole number from 0 to 65535, but is "${PORT}". Correct it, or leave it out for 8100.`,
    ])
  }
})

test("a boolean is true, false, 1 or 0, and nothing else", (t) => {
  for (const value of ["True", "yes", "on", "", "no", "2", "constructor"]) {
    const expected = [
      `environment: API_KEYS_ENABLED (api_keys.enabled) must be true, false, 1 or 0, but is "${value}". Correct it, or leave it out for true.`,
    ]
    assert.deepEqual(faults(t, { env: { API_KEYS_ENABLED: value } }), value === "" ? [] : expected)
  }
})

test("a duration and a size need their unit", (t) => {
  const [duration] = faults(t, { env: { WORKERS_REQUEST_TIMEOUT: "20" } })
  assert.match(duration!, /must be a duration with its unit, such as "20 seconds".* \(add the unit\), but is "20"\./)
  const [size] = faults(t, { env: { SERVER_BODY_LIMIT: "1000" } })
  assert.match(size!, /must be a size with its unit \(B, kB, MB.*\(add the unit\), but is "1000"\./)
  const [number] = faults(t, { json: { workers: { request_timeout: 20 } } })
  assert.match(number!, /^config.json: workers.request_timeout must be a duration with its unit.* but is 20\./)
})

test("a duration that would never or at once fire is refused", (t) => {
  for (const value of ["0 s", "25 days"]) {
    const [fault] = faults(t, { env: { WORKERS_REQUEST_TIMEOUT: value } })
    assert.match(fault!, /must be a duration from 1 ms to 24 days, but is/)
  }
})

test("config.json has real types: a number in quotes is a text", (t) => {
  const json = {
    server: { port: "8100", host: 1 },
    api_keys: { enabled: 1 },
    logging: { sql: "1", level: null },
    roles: { denied_status: 402 },
  }
  assert.deepEqual(faults(t, { json }), [
    `config.json: server.port must be a whole number from 0 to 65535, but is "8100". Correct it, or leave it out for 8100.`,
    `config.json: server.host must be a host name or an address, such as "localhost" or "0.0.0.0", but is 1. Correct it, or leave it out for "localhost".`,
    `config.json: api_keys.enabled must be true or false, but is 1. Correct it, or leave it out for true.`,
    `config.json: logging.sql must be true, false or "values", but is "1". Correct it, or leave it out for false.`,
    `config.json: logging.level must be "debug", "info", "warn" or "error", but is null. Correct it, or leave it out for "info".`,
    `config.json: roles.denied_status must be 403 or 401, but is 402. Correct it, or leave it out for 403.`,
  ])
})

test("a section that is no object is refused, and what is in it is not shown", (t) => {
  const json = { server: 8100, database: "postgres://u:canary@h/d", redis: ["canary"] }
  assert.deepEqual(faults(t, { json }), [
    `config.json: server must be an object, but is a number. Write "server": { … }.`,
    `config.json: database must be an object, but is a text. Write "database": { … }.`,
    `config.json: redis must be an object, but is a list. Write "redis": { … }.`,
  ])
})

test("an unknown key in config.json gets a suggestion", (t) => {
  const suggestions: [object, string][] = [
    [{ sever: {} }, "sever is unknown. Did you mean server?"],
    [{ server: { prot: 1 } }, "server.prot is unknown. Did you mean server.port?"],
    [{ database: { poolsize: 1 } }, "database.poolsize is unknown. Did you mean database.pool_size?"],
    [{ port: 1 }, `port is unknown. Did you mean { "server": { "port": … } }?`],
    [{ "server.port": 1 }, `server.port is unknown. Did you mean { "server": { "port": … } }?`],
    [{ DATABASE_URL: 1 }, `DATABASE_URL is unknown. Did you mean { "database": { "url": … } }?`],
    [
      { url: 1 },
      `url is unknown. Did you mean { "database": { "url": … } } or { "redis": { "url": … } } or { "sign_in": { "github": { "url": … } } }?`,
    ],
    [{ redis: { pool_size: 1 } }, `redis.pool_size is unknown. Did you mean { "database": { "pool_size": … } }?`],
    [{ redis: { nonsense: 1 } }, "redis.nonsense is unknown. Remove it; known here are url, prefix."],
  ]
  for (const [json, expected] of suggestions) assert.deepEqual(faults(t, { json }), [`config.json: ${expected}`])
})

test("keys that JavaScript's objects are made of are unknown keys like others, and harmless", (t) => {
  const json = `{ "__proto__": { "polluted": true }, "constructor": {}, "server": { "toString": 1, "__proto__": 2 } }`
  const known = Object.keys(KitSchema.properties).join(", ")
  const knownOfServer = Object.keys(KitSchema.properties.server.properties).join(", ")
  assert.deepEqual(faults(t, { json }), [
    `config.json: __proto__ is unknown. Remove it; known here are ${known}.`,
    `config.json: constructor is unknown. Remove it; known here are ${known}.`,
    `config.json: server.toString is unknown. Remove it; known here are ${knownOfServer}.`,
    `config.json: server.__proto__ is unknown. Remove it; known here are ${knownOfServer}.`,
  ])
  assert.equal("polluted" in {}, false)
})

test("malformed JSON is answered with line and column, without the text around it", (t) => {
  const places: [string, string][] = [
    ["", "line 1, column 1: expected a value (a text needs double quotes)"],
    [`{\n  "a": tru\n}`, "line 2, column 8: expected a value (a text needs double quotes)"],
    [`{ "a": 1, }`, "line 1, column 11: expected a key in double quotes"],
    [`{ "a": 1\n  "b": 2 }`, `line 2, column 3: expected "," or "}"`],
    [`{ 'a': 1 }`, "line 1, column 3: expected a key in double quotes"],
    [`{ "a" 1 }`, `line 1, column 7: expected ":"`],
    [`{ "a": [1 2] }`, `line 1, column 11: expected "," or "]"`],
    [`{ "a": 01 }`, "line 1, column 8: expected a value (a text needs double quotes)"],
    [`{ "url": "postgres://u:canary@h\n" }`, "line 1, column 10: expected a value (a text needs double quotes)"],
    [`{ "url": "canary\\x" }`, "line 1, column 10: expected a value (a text needs double quotes)"],
    ["// canary\n{}", "line 1, column 1: expected a value (a text needs double quotes)"],
    ["{} canary", "line 1, column 4: expected the end of the file"],
  ]
  for (const [json, place] of places) {
    const hint = "The file is plain JSON, without comments and trailing commas."
    assert.deepEqual(faults(t, { json }), [`config.json ${place}. ${hint}`])
  }
  const whole = `config.json must hold an object, such as { "server": { "port": 8100 } }.`
  for (const json of ["[]", "null", "1"]) assert.deepEqual(faults(t, { json }), [whole])
})

test("a URL that cannot work is refused, and its password is not shown", (t) => {
  for (const url of [
    "mysql://u:canary@h/d",
    "postgres://u:can#ary@h",
    "postgres://u:canary%zz@h/d",
    "postgres:canary",
  ]) {
    const [fault, ...others] = faults(t, { env: { DATABASE_URL: url } })
    assert.equal(others.length, 0)
    assert.match(fault!, /must be a URL that begins with postgres:\/\/ or postgresql:\/\/, special characters escaped/)
    assert.match(fault!, /but is \d+ characters \(secret, not shown\)\. Correct it, or leave it out\.$/)
    assert.doesNotMatch(fault!, /can#?ary/)
  }
  assert.match(faults(t, { env: { REDIS_URL: "http://h" } })[0]!, /begins with redis:\/\/ or rediss:\/\//)
})

test("the hash of an empty key is refused: anyone could log in with nothing", (t) => {
  const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
  assert.match(faults(t, { env: { API_TOKEN_HASH: empty } })[0]!, /must be .* the SHA-256 of a key that is not empty/)
  assert.match(faults(t, { env: { API_TOKEN_HASH: "abc" } })[0]!, /must be 64 hexadecimal digits/)
})

test("a secret stays out of the message wherever it was put", (t) => {
  const url = "postgres://user:canary@host/db"
  const lines = [
    ...faults(t, { env: { PORT: url, HOST: `${url} `, LOG_SQL: url, API_TOKEN_HASH: "canary", DATABASE_ULR: url } }),
    ...faults(t, { file: `DATABSE_URL=${url}\nDATABASE_URL: ${url}\nREDIS_URL=${url}` }),
    ...faults(t, { json: { server: { port: url, hots: url }, url, database: { url: { canary: 1 } }, redis: url } }),
    ...faults(t, { json: `{ "database": { "url": "${url}' } }` }),
  ]
  assert.equal(lines.length, 14)
  assert.doesNotMatch(lines.join("\n"), /canary/)
})

test("at most 60 characters of a value are shown, and control characters are escaped", (t) => {
  const [long] = faults(t, { env: { PORT: "9".repeat(1000) } })
  assert.ok(long!.includes(`but is "${"9".repeat(57)}…". `))
  assert.ok(faults(t, { env: { PORT: "80\r\u001b[31m" } })[0]!.includes(String.raw`but is "80\r\u001b[31m". `))
})

test("a name in .env or the environment that is nearly one of ours gets a suggestion", (t) => {
  const slips: [string, string][] = [
    ["DATABASE_ULR", "DATABASE_URL"],
    ["DATABASE_URI", "DATABASE_URL"],
    ["DATABASE_POOLSIZE", "DATABASE_POOL_SIZE"],
    ["WORKER_REQUEST_TIMEOUT", "WORKERS_REQUEST_TIMEOUT"],
    ["API_TOKEN_HASHES", "API_TOKEN_HASH"],
    ["LOG_SLQ", "LOG_SQL"],
    ["database_url", "DATABASE_URL"],
    ["SERVER_PORT", "PORT"],
    ["LOGGING_SQL", "LOG_SQL"],
  ]
  for (const [name, meant] of slips) {
    const advice = `${name} is unknown. Did you mean ${meant}? Rename it, or remove it.`
    assert.deepEqual(faults(t, { env: { [name]: "1" } }), [`environment: ${advice}`])
    assert.deepEqual(faults(t, { file: `# first\n${name}=1` }), [`.env line 2: ${advice}`])
  }
  for (const name of ["PROT", "HSOT", "port"]) {
    assert.match(faults(t, { file: `${name}=1` })[0]!, /^\.env line 1: .* Did you mean (PORT|HOST)\?/)
  }
})

test("variables of other programs are nobody's mistake", (t) => {
  const foreign = {
    ...{ PATH: "/bin", HOME: "/root", HOSTNAME: "web-1", TERM: "xterm", PWD: "/", LANG: "C", USER: "me", _: "node" },
    ...{ HOSTS: "a", PORTS: "1", POST: "1", COST: "1", SORT: "1", port: "x", host: "y", HOSTTYPE: "x86" },
    ...{ NODE_OPTIONS: "", npm_config_loglevel: "info", npm_lifecycle_event: "start", LOG_LEVEL: "x", LOG_URL: "x" },
    // What Kubernetes sets for the services "redis", "database", "server" and "workers" of the same namespace.
    ...{ REDIS_PORT: "tcp://10.0.0.1:6379", REDIS_SERVICE_HOST: "10.0.0.1", REDIS_PORT_6379_TCP_ADDR: "10.0.0.1" },
    ...{ DATABASE_PORT: "tcp://10.0.0.2:5432", DATABASE_SERVICE_PORT: "5432", WORKERS_SERVICE_HOST: "10.0.0.3" },
    ...{ SERVER_PORT: "tcp://10.0.0.4:80", SERVER_SERVICE_HOST: "10.0.0.4", KUBERNETES_PORT: "tcp://10.0.0.5:443" },
    ...{ DATABASE_USER: "x", DATABASE_NAME: "x", DATABASE_HOST: "x", REDIS_HOST: "x", API_TOKEN: "x", API_KEY: "x" },
  }
  assert.deepEqual(faults(t, { env: foreign }), [])
})

test("a name that is nearly ours passes where the right one is set as well", (t) => {
  const env = { DATABASE_URL: "postgres://h/d", DATABASE_URI: "x", DATABASE_URLS: "x", PORT: "1", SERVER_PORT: "2" }
  assert.deepEqual(faults(t, { env }), [])
  assert.deepEqual(faults(t, { env: { DATABASE_URI: "x" }, file: "DATABASE_URL=postgres://h/d" }), [])
})

test("a line of .env that names a setting but sets nothing is a mistake", (t) => {
  const file = `# PORT is not set here\nexport HOST=a\nPORT 80\nREDIS_URL: redis://h\n`
  assert.deepEqual(faults(t, { file }), [
    `.env line 3: PORT must be followed by "=" and its value.`,
    `.env line 4: REDIS_URL must be followed by "=" and its value.`,
  ])
})

test("a file that cannot be read is a mistake", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "trestle-config-"))
  t.after(() => rmSync(folder, { recursive: true }))
  mkdirSync(join(folder, "config.json"))
  mkdirSync(join(folder, ".env"))
  assert.throws(() => loadConfig({ folder, env: {} }), {
    name: "BootError",
    message: `The configuration has 2 mistakes:
  - config.json cannot be read (EISDIR). Correct its permissions, or remove it.
  - .env cannot be read (EISDIR). Correct its permissions, or remove it.`,
  })
})

test("all mistakes of all sources are in one message, also those that another source covers", (t) => {
  const lines = faults(t, {
    json: { server: { port: "x" }, nonsense: 1 },
    file: "PORT=y\nLOG_SLQ=1",
    env: { PORT: "80", DATABASE_POOL_SIZE: "0" },
  })
  assert.deepEqual(
    lines.map((line) => line.replace(/(?: must| is) .*/, "")),
    [
      "config.json: nonsense",
      "config.json: server.port",
      ".env line 1: PORT (server.port)",
      ".env line 2: LOG_SLQ",
      "environment: DATABASE_POOL_SIZE (database.pool_size)",
    ],
  )
})
