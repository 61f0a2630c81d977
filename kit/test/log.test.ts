// @together
/** What a line of the log says, and what it never says. */
import assert from "node:assert/strict"
import { EventEmitter } from "node:events"
import { test } from "node:test"
import { sql } from "trestle"
import { jsonLines, textLines } from "../src/core/log/lines.ts"
import { Log } from "../src/core/log.ts"
import { createMask, type Mask } from "../src/core/mask.ts"
import { openDatabase } from "../src/db/database.ts"
import { createTestDatabase } from "../src/db/test-database.ts"

/** A log into memory. */
function memory(level = "debug", { json = false, mask = createMask() }: { json?: boolean; mask?: Mask } = {}) {
  const lines: string[] = []
  const log = new Log(level, "server", (line) => void lines.push(line), json ? jsonLines(mask) : textLines(mask))
  return {
    log,
    lines,
    last: () =>
      lines
        .at(-1)!
        .replace(/^\[.*?\] /, "")
        .trimEnd(),
  }
}

test("a line has its local time, level, module and message", () => {
  const { log, lines } = memory()
  log.for("movies").info("Forrest Gump was added.")
  assert.match(lines[0]!, /^\[\d\d\/\d\d\/\d{4} \| \d\d:\d\d:\d\d\] \(INFO\) movies: Forrest Gump was added\.\n$/)
})

test("levels are DEBUG, INFO, WARNING and ERROR, and lower ones than the log's are left out", () => {
  const { log, lines } = memory("debug")
  for (const level of ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const) log[level]("x")
  assert.deepEqual(
    lines.map((line) => /\((\w+)\)/.exec(line)![1]),
    ["DEBUG", "INFO", "WARNING", "ERROR", "ERROR"],
  )
  const quiet = memory("warn")
  for (const level of ["debug", "info", "warn", "error"] as const) quiet.log[level]("x")
  assert.equal(quiet.lines.length, 2)
})

test("it takes what pino takes: a message, fields and a message, an error, values for the message", () => {
  const { log, last } = memory()
  log.info({ movie: "Alien", year: 1979, tags: ["a", "b"], title: "two words", none: null }, "added")
  assert.equal(last(), `(INFO) server: added movie=Alien year=1979 tags=["a","b"] title="two words" none=null`)
  log.info("%d movies of %s", 3, "Ridley", "too many")
  assert.equal(last(), "(INFO) server: 3 movies of Ridley")
  log.info({ only: "fields" })
  assert.equal(last(), "(INFO) server: only=fields")
  log.error(new Error("boom"), "while adding")
  assert.match(last(), /^\(ERROR\) server: while adding\n {4}Error: boom\n {8}at /)
  log.info(undefined)
  log.info(42)
  assert.equal(last(), "(INFO) server: 42")
})

test("a child carries its fields, its module, its level and the id of its request", () => {
  const { log, last, lines } = memory("info")
  const child = log.child({ reqId: "abc-1" }).child({ movie: 7 })
  child.info("looked at")
  assert.equal(last(), "(INFO) server: looked at movie=7 id=abc-1")
  child.for("jobs").info("Request abc-1 sent a job.")
  assert.equal(last(), "(INFO) jobs: Request abc-1 sent a job. movie=7")
  log.child({ module: "sql" }, { level: "error" }).info("left out")
  assert.equal(lines.length, 2)
})

test("an error brings its stack and causes, indented, and nothing else of it", () => {
  const { log, last } = memory()
  const deep = Object.assign(new Error("disk is full"), { row: "private" })
  log.error({ err: new Error("could not save", { cause: deep }) }, "PUT failed:")
  assert.match(
    last(),
    /^\(ERROR\) server: PUT failed:\n {4}Error: could not save\n {8}at [\s\S]*\n {6}caused by Error: disk is full\n/,
  )
  assert.doesNotMatch(last(), /private/)
  assert.ok(
    last()
      .split("\n")
      .slice(1)
      .every((line) => line.startsWith("    ")),
  )

  const circle: Error & { cause?: unknown } = new Error("chicken")
  circle.cause = new Error("egg", { cause: circle })
  log.error(circle)
  log.error(new AggregateError([new Error("::1 refused"), new Error("127.0.0.1 refused")], "no connection"))
  assert.match(last(), /one of several: Error: ::1 refused[\s\S]*one of several: Error: 127\.0\.0\.1 refused/)
})

const forged = "[20/11/2026 | 09:30:00] (ERROR) auth: forged"
const evil = `a\n${forged}\r\n${forged}\u2028${forged}\u2029${forged}\u0085${forged}\x1b[2J\x9b2J\x07\x00\u202e\x7f`

test("nothing from outside begins a line or drives a terminal, wherever it comes in", () => {
  for (const json of [false, true]) {
    const { log, lines } = memory("debug", { json })
    log.info(evil)
    log.info({ value: evil, [evil]: 1, nested: { [evil]: [evil] } }, "fields")
    log.info("%s", evil)
    log.child({ reqId: evil, bound: evil }).info("child")
    log.error({ err: new Error(evil, { cause: new TypeError(evil) }) }, "failed")
    log.error(Object.assign(new Error("x"), { stack: `${evil}\n    at ${evil}`, message: evil }))
    for (const line of lines) {
      assert.ok(line.endsWith("\n"))
      for (const physical of line.slice(0, -1).split("\n").slice(1)) assert.match(physical, /^ {4}/)
      assert.doesNotMatch(line.replaceAll("\n", ""), /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/u)
      assert.ok(line.indexOf(forged) > 0 || !line.includes(forged))
      if (json) JSON.parse(line)
    }
  }
})

test("JSON lines are one object each, with fields that cannot take the log's own names", () => {
  const { log, lines } = memory("info", { json: true })
  log.child({ reqId: "abc-1" }).warn({ movie: { id: 7 }, level: "mine", err: new Error("boom") }, "added")
  const { time, err, ...rest } = JSON.parse(lines[0]!)
  assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  assert.equal(err.message, "boom")
  assert.match(err.stack, /^Error: boom\n {4}at /)
  const own = { level: "warn", module: "server", message: "added", request_id: "abc-1" }
  assert.deepEqual(rest, { ...own, movie: { id: 7 }, level_: "mine" })
})

const secretNames = [
  ...["password", "Password", "PASSWD", "pwd", "new_password", "user-pwd", "token", "accessToken", "csrf_token"],
  ...["client_secret", "SECRETS", "authorization", "Proxy-Authorization", "cookie", "Set-Cookie", "key", "api_key"],
  ...["apiKey", "x-api-key", "API-KEY", "API KEY", "privateKey", "pass_word"],
]
const openNames = ["title", "keyboard", "keys", "author", "pass", "email"]

test("values are masked by their name, in any case and style, at any depth", () => {
  const mask = createMask()
  for (const name of secretNames) {
    assert.ok(mask.isSecret(name), name)
    const value = { a: [{ [name]: "canary" }, { [name]: { b: ["canary"] } }], [name]: ["canary"] }
    assert.doesNotMatch(mask.json(value), /canary/, name)
    assert.doesNotMatch(mask.url(`/a?x=1&${encodeURIComponent(name)}=canary&y=2`), /canary/, name)
    assert.doesNotMatch(mask.text(JSON.stringify(value.a[0])), /canary/, name)
  }
  for (const name of openNames) assert.equal(mask.json({ [name]: "shown" }), `{"${name}":"shown"}`)
})

test("names that the settings add are masked too, as words and not as parts of words", () => {
  const mask = createMask(["credit_card", "pin"])
  for (const name of ["creditCard", "CREDIT-CARD", "user_credit_card", "pin", "userPin"])
    assert.ok(mask.isSecret(name), name)
  for (const name of ["shipping", "card"]) assert.ok(!mask.isSecret(name), name)
  assert.equal(mask.url("/?pin=1234&shipping=1"), "/?pin=***&shipping=1")
})

test("a URL keeps all but its secrets", () => {
  const mask = createMask()
  const shown: Record<string, string> = {
    "/api/movies?page=2&search=a%20b": "/api/movies?page=2&search=a%20b",
    "/a?pass%77ord=canary&b=1": "/a?pass%77ord=***&b=1",
    "/a?user[password]=canary": "/a?user[password]=***",
    "/a?api+key=canary;token=canary#access_token=canary": "/a?api+key=***;token=***#access_token=***",
    "/a?b?token=canary": "/a?b?token=***",
    "http://me:canary@host/a": "http://***@host/a",
    "//me:canary@host/a": "//***@host/a",
    "/a@b": "/a@b",
  }
  for (const [url, expected] of Object.entries(shown)) assert.equal(mask.url(url), expected)
  assert.ok(mask.url(`/a?b=${"c".repeat(20_000)}`).length <= 1001)
})

test("text that others put together is masked where it looks like a name and its value", () => {
  const mask = createMask()
  const shown: Record<string, string> = {
    "bad password=canary, try again": "bad password=***, try again",
    "{ password: 'canary two', a: 1 }": "{ password: ***, a: 1 }",
    '{"a":1,"api_key":"canary \\" canary","b":2}': '{"a":1,"api_key":***,"b":2}',
    '"{\\"token\\":\\"canary\\",\\"b\\":2}"': '"{\\"token\\":***,\\"b\\":2}"',
    "Authorization: Basic canary": "Authorization: ***",
    "Cookie: a=canary; b=canary\nnext": "Cookie: ***\nnext",
    "sent Bearer canary.canary to them": "sent Bearer *** to them",
    "postgres://me:canary@db/app is gone": "postgres://***@db/app is gone",
    "key trk_canarycanarycanarycanary is wrong": "key trk_*** is wrong",
    "TokenError: expired": "TokenError: expired",
    "where token = $1": "where token = $1",
    "Listening at http://localhost:8100": "Listening at http://localhost:8100",
  }
  for (const [text, expected] of Object.entries(shown)) assert.equal(mask.text(text), expected)
})

test("what a line prints of a value is bounded, however large, deep, tangled or hostile the value is", () => {
  const mask = createMask()
  let deep: unknown = "bottom"
  for (let i = 0; i < 10_000; i++) deep = { deep }
  const circle: Record<string, unknown> = { name: "loop" }
  circle.self = circle
  const trap = new Proxy(
    {},
    {
      ownKeys: () => {
        throw new Error("trap")
      },
    },
  )
  const values = [
    deep,
    circle,
    trap,
    {
      get bad() {
        throw new Error("getter")
      },
    },
    {
      toJSON() {
        throw new Error("toJSON")
      },
    },
    new Array(1_000_000).fill("x"),
    Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`name${i}`, i])),
    "x".repeat(5_000_000),
    { ["n".repeat(1_000_000)]: 1 },
    JSON.parse('{"__proto__":{"polluted":1}}'),
    [1n, Symbol("s"), () => {}, Number.NaN, undefined, new Date(Number.NaN), /re/, Buffer.alloc(100_000)],
    new Map<unknown, unknown>([
      ["token", "canary"],
      [{}, 1],
    ]),
    new Set(["a"]),
    new Headers({ cookie: "canary", accept: "*/*" }),
    new URLSearchParams("token=canary&a=1"),
    new URL("http://me:canary@host/?token=canary"),
    ["Authorization", "canary", "Accept", "x"],
    Object.assign(new EventEmitter(), { headers: { "x-any": "canary" } }),
    { raw: new EventEmitter(), method: "GET", url: "/?token=canary", headers: { "x-any": "canary" } },
  ]
  for (const value of values) {
    const json = mask.json(value)
    assert.ok(json.length <= 1001, json.slice(0, 100))
    assert.doesNotMatch(json, /canary/)
  }
  assert.equal(mask.json(circle), '{"name":"loop","self":"[circular]"}')
  assert.equal(({} as { polluted?: number }).polluted, undefined)

  const { log, lines } = memory()
  log.info({ body: values[5], trap, ...circle }, "large")
  log.info(trap, "still said")
  assert.ok(lines.every((line) => line.length < 3000))
  assert.match(lines[1]!, /still said/)
  log.info("y".repeat(1_000_000))
  assert.ok(lines[2]!.length < 11_000)
})

test("SQL statements are lines of the module sql", async (t) => {
  const { log, last } = memory("info")
  const made = await createTestDatabase([])
  const settings = { poolSize: 1, connectTimeoutMs: 30_000, statementTimeoutMs: 0, idleInTransactionTimeoutMs: 0 }
  const database = openDatabase(made.address, { ...settings, preparedStatements: false, logSql: true }, log)
  t.after(async () => {
    await database.close()
    await made.drop()
  })
  await sql`select ${"hidden"}::text as shown`.execute(database.db)
  assert.match(last(), /^\(INFO\) sql: \d+\.\d ms select \$1::text as shown$/)
})
