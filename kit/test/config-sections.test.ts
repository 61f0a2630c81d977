// @together
import assert from "node:assert/strict"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { type TSchema, Type } from "typebox"
import {
  type Config,
  configurationTable,
  Duration,
  effectiveSettings,
  loadConfig,
  type Section,
  Size,
} from "../src/core/config/index.ts"

const cinema = Type.Object(
  {
    page_size: Type.Integer({ default: 20, minimum: 1, description: "Movies on a page." }),
    forget_after: Duration({ default: "30 days", maximum: "365 days" }),
    poster_limit: Type.Optional(Size()),
    genres: Type.Array(Type.String(), { default: ["drama"] }),
    pauses: Type.Array(Duration(), { default: [] }),
    prices: Type.Record(Type.String(), Type.Number(), { default: {} }),
    smtp_password: Type.Optional(Type.String({ minLength: 8 })),
    imports: Type.Object({ enabled: Type.Boolean({ default: false }), feed: Type.Optional(Type.String()) }),
    mirrors: Type.Array(
      Type.Object({ name: Type.String(), timeout: Duration({ default: "1 s" }) }, { additionalProperties: false }),
      { default: [] },
    ),
  },
  { description: "The cinema." },
)
const sections = { cinema }
type Cinema = Section<typeof cinema>

function load(t: TestContext, env: Record<string, string>, json: object = {}, own: Record<string, TSchema> = sections) {
  const folder = mkdtempSync(join(tmpdir(), "trestle-config-"))
  t.after(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, "config.json"), JSON.stringify(json))
  return loadConfig({ folder, env, sections: own }) as Config & { cinema: Cinema }
}

test("an application's section has defaults, file and environment like the kit's", (t) => {
  const plain = load(t, {}).cinema
  assert.deepEqual(plain, {
    page_size: 20,
    forget_after: 30 * 86_400_000,
    poster_limit: undefined,
    genres: ["drama"],
    pauses: [],
    prices: {},
    smtp_password: undefined,
    imports: { enabled: false, feed: undefined },
    mirrors: [],
  })
  const env = { CINEMA_PAGE_SIZE: "5", CINEMA_IMPORTS_ENABLED: "1", CINEMA_POSTER_LIMIT: "2 MiB" }
  const set = load(t, env, { cinema: { forget_after: "2 days", imports: { feed: "x" } } }).cinema
  assert.deepEqual([set.page_size, set.forget_after, set.poster_limit], [5, 172_800_000, 2_097_152])
  assert.deepEqual({ ...set.imports }, { enabled: true, feed: "x" })
})

test("a section is typed by its schema: durations and sizes are numbers, and nothing can be written", (t) => {
  const config = load(t, {})
  const numbers: number[] = [config.cinema.page_size, config.cinema.forget_after, config.server.body_limit]
  const pauses: readonly number[] = config.cinema.pauses
  const limit: number | undefined = config.cinema.poster_limit
  assert.deepEqual([numbers.length, pauses.length, limit], [3, 0, undefined])
  // @ts-expect-error a misspelt key
  assert.equal(config.cinema.pagesize, undefined)
  // @ts-expect-error an unknown section
  assert.equal(config.theatre, undefined)
  // @ts-expect-error a duration is not its text
  const text: string = config.cinema.forget_after
  assert.equal(typeof text, "number")
  // @ts-expect-error a list is read-only
  assert.throws(() => config.cinema.genres.push("x"), TypeError)
  // @ts-expect-error not one of the roles
  assert.equal(config.api_keys.environment_role === "visitor", false)
})

test("lists come with commas or in JSON, objects in JSON", (t) => {
  const genres = (value: string) => load(t, { CINEMA_GENRES: value }).cinema.genres
  assert.deepEqual(genres("a, b,c,"), ["a", "b", "c"])
  assert.deepEqual(genres(`["a,b", "c"]`), ["a,b", "c"])
  assert.deepEqual(genres("[]"), [])
  assert.deepEqual(load(t, { CINEMA_PAUSES: "1 s, 2 min" }).cinema.pauses, [1000, 120_000])
  assert.deepEqual(load(t, { CINEMA_PRICES: `{"adult": 12.5}` }).cinema.prices, { adult: 12.5 })
})

test("a mistake inside a list or an object is named by its place", (t) => {
  const message = (env: Record<string, string>, expected: RegExp) =>
    assert.throws(() => load(t, env), { name: "BootError", message: expected })
  message({ CINEMA_PAUSES: "1 s,2" }, /CINEMA_PAUSES\[1\] \(cinema\.pauses\) must be a duration .* but is "2"/)
  message({ CINEMA_GENRES: "[1]" }, /CINEMA_GENRES\[0\] \(cinema\.genres\) must be a text, but is 1/)
  message(
    { CINEMA_GENRES: "[x" },
    /CINEMA_GENRES \(cinema\.genres\) must be a list \(with commas, or in JSON\), but is "\[x"/,
  )
  message({ CINEMA_PRICES: `{"adult":"x"}` }, /CINEMA_PRICES\.adult \(cinema\.prices\) must be a number, but is "x"/)
  message({ CINEMA_PRICES: "adult" }, /CINEMA_PRICES \(cinema\.prices\) must be an object in JSON, but is "adult"/)
  message(
    { CINEMA_MIRRORS: `[{"nam":"x"}]` },
    /CINEMA_MIRRORS\[0\]\.name \(cinema\.mirrors\) must be a text, but is missing/,
  )
  message(
    { CINEMA_MIRRORS: `[{"name":"x","a":1}]` },
    /CINEMA_MIRRORS\[0\]\.a .* must be left out \(known here: name, timeout\)/,
  )
  message({ CINEMA_IMPORTS_ENABELD: "1" }, /Did you mean CINEMA_IMPORTS_ENABLED\?/)
  message({ CINEMA_SMTP_PASSWORD: "canary" }, /must be a text of at least 8 characters, but is 6 characters \(secret/)
})

test("objects in a list are decoded and have their defaults", (t) => {
  const mirrors = [
    ...load(t, {}, { cinema: { mirrors: [{ name: "a" }, { name: "b", timeout: "5 s" }] } }).cinema.mirrors,
  ]
  assert.deepEqual(mirrors, [
    { name: "a", timeout: 1000 },
    { name: "b", timeout: 5000 },
  ])
})

test("a decoder may make any value of a text", (t) => {
  const decoded = Type.Object({
    site: Type.Decode(Type.String({ default: "http://a/b" }), (text) => new URL(text)),
    salt: Type.Decode(Type.String({ default: "00ff" }), (text) => Buffer.from(text, "hex")),
  })
  const loaded = load(t, {}, {}, { decoded }) as unknown as { decoded: Section<typeof decoded> }
  const site: URL = loaded.decoded.site
  const salt: Uint8Array = loaded.decoded.salt
  assert.deepEqual([site.pathname, salt[1]], ["/b", 255])
  assert.throws(() => load(t, { DECODED_SITE: "nowhere" }, {}, { decoded }), /must be Invalid URL, but is "nowhere"/)
})

test("a key __proto__ in an object that allows any key is data", (t) => {
  const { prices } = load(t, { CINEMA_PRICES: `{"__proto__": 1}` }).cinema
  assert.equal(Object.getPrototypeOf(prices), Object.prototype)
  assert.deepEqual(Object.keys(prices), ["__proto__"])
})

test("a setting without a default must be given, and the message says how", (t) => {
  const post = Type.Object({ sender: Type.String() })
  assert.throws(() => load(t, {}, {}, { post }), {
    name: "BootError",
    message:
      "The configuration has a mistake:\n  - post.sender is missing. Set POST_SENDER, or post.sender in config.json.",
  })
})

test("a name that sounds secret is one, unless the schema denies it", (t) => {
  const own = {
    post: Type.Object({
      api_key: Type.String({ default: "canary" }),
      public_key: Type.String({ default: "shown", secret: false }),
      relays: Type.Array(Type.Object({ password: Type.String() }), { default: [{ password: "canary" }] }),
      oauth: Type.Object({ client: Type.String({ default: "canary" }) }, { secret: true }),
    }),
  }
  const folder = mkdtempSync(join(tmpdir(), "trestle-config-"))
  t.after(() => rmSync(folder, { recursive: true }))
  const values = effectiveSettings({ folder, env: {}, sections: own }).filter(({ key }) => key.startsWith("post."))
  assert.deepEqual(
    values.map(({ value }) => value),
    ["(secret)", "shown", "(secret)", "(secret)"],
  )
})

test("a decoder that quotes a secret in its error is not quoted", (t) => {
  const vault = Type.Object({ secret: Type.Decode(Type.String(), (text) => JSON.parse(text) as string) })
  assert.throws(
    () => load(t, { VAULT_SECRET: "canary" }, {}, { vault }),
    (error: Error) => error.name === "BootError" && !error.message.includes("canary"),
  )
})

test("a section that cannot be one is refused at once", (t) => {
  const refused = (own: Record<string, TSchema>, message: string) =>
    assert.throws(() => load(t, {}, {}, own), { name: "BootError", message })
  const port = Type.Object({ sql: Type.Boolean({ default: true }) })
  refused({ server: port }, `The configuration section "server" belongs to the kit. Give yours another name.`)
  refused({ myPart: port }, `The configuration key "myPart" must be in snake_case, such as "page_size".`)
  refused(
    { my: Type.Object({ "a-b": Type.String() }) },
    `The configuration key "my.a-b" must be in snake_case, such as "page_size".`,
  )
  refused({ movies: Type.String() }, `The configuration section "movies" must be a Type.Object({ … }).`)
  refused(
    { log: port },
    `The settings logging.sql and log.sql would share the environment variable LOG_SQL. Rename one, or give it a variable of its own with { env: "…" } in its schema.`,
  )
})

test("a default that its own schema refuses is named as such", (t) => {
  const movies = Type.Object({ page_size: Type.Integer({ default: 0, minimum: 1 }) })
  const message = /default: movies\.page_size must be a whole number of at least 1, but is 0\. Correct the schema\./
  assert.throws(() => load(t, {}, {}, { movies }), { name: "BootError", message })
})

test("an application's section stands in the table with the kit's", () => {
  const table = configurationTable(sections)
  assert.ok(table.includes("### server\n"))
  assert.ok(table.includes("### cinema\n\nThe cinema.\n"))
  assert.ok(table.includes("| `cinema.page_size` | `CINEMA_PAGE_SIZE` | `20` | Movies on a page. |"))
  assert.ok(table.includes("| `cinema.smtp_password` | `CINEMA_SMTP_PASSWORD` | not set | *Secret.* |"))
})
