/** `trestle user`: accounts from the command line, beside servers that run. */
import assert from "node:assert/strict"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { ledgersOf } from "../src/db/migrations.ts"
import { createTestDatabase } from "../src/db/test-database.ts"
import { Browser } from "./browser.ts"
import { makeProject, type Project, urlOf } from "./project.ts"
import { noRedis, startRedis } from "./redis.ts"

const main = join(import.meta.dirname, "../src/cli/main.ts")

/** A project whose commands work on a database of the test's own. */
async function projectWithDatabase(t: TestContext, env: Record<string, string> = {}) {
  const { address, drop } = await createTestDatabase(await ledgersOf("/nonexistent"))
  t.after(drop)
  const project = await makeProject(t)
  const all = { DATABASE_URL: urlOf(address), ...env }
  const withInput = (input: string) => ["sh", "-c", 'printf %s "$0" | "$@"', input, process.execPath, main]
  return {
    run: (args: string[]) => project.run(args, all),
    inOneProcess: () => project.inOneProcess(all),
    pipe: (input: string, args: string[]) => project.start(args, all, withInput(input)).ended,
    start: () => startServer(project, all),
  }
}

async function startServer({ start }: Project, env: Record<string, string> = {}): Promise<string> {
  const [, url = ""] = await start(["start"], { ...env, RATE_LIMIT_ENABLED: "false" }).says(/ is at (http\S+)/)
  return url
}

/** Asks until it is refused; nothing that is sent a second after the command's end may be let in. */
async function isRefusedWithinASecond(call: () => Promise<{ status: number }>, refusal: number): Promise<void> {
  const ended = performance.now()
  for (;;) {
    const sent = performance.now()
    const { status } = await call()
    if (status === refusal) return
    assert.equal(status, 200)
    assert.ok(sent - ended < 1000, `let in ${Math.round(sent - ended)} ms after the end`)
  }
}

const loggedIn = async (url: string, email: string, password: string): Promise<Browser> => {
  const browser = new Browser(url)
  const { status } = await browser.post("/api/login", { email, password })
  assert.equal(status, 200)
  return browser
}

test("a person whose account was made is let in, promoted, disabled and let in again by a server that runs", async (t) => {
  const project = await makeProject(t)
  await project.seed()
  const { run } = project
  const url = await startServer(project)
  const email = "anna@example.com"

  const made = await run(["user", "create", "Anna@example.com", "--first-name", "Anna", "--role", "readonly"])
  assert.deepEqual(
    [made.code, made.stderr],
    [0, "Made the account of Anna@example.com, with the role readonly. Its password is shown only now.\n"],
  )
  assert.match(made.stdout, /^\w{5}-\w{5}-\w{5}-\w{5}\n$/)
  const anna = await loggedIn(url, email, made.stdout.trim())
  assert.equal((await anna.get("/api/me")).body.me.fullname, "Anna")

  assert.equal((await anna.get("/api/users")).status, 403)
  const promoted = await run(["user", "role", email, "superuser"])
  assert.deepEqual([promoted.code, promoted.stdout], [0, "Anna@example.com has the role superuser.\n"])
  const ended = performance.now()
  for (let sent = ended; (await anna.get("/api/users")).status === 403; sent = performance.now()) {
    assert.ok(sent - ended < 1000)
  }
  assert.equal((await run(["user", "role", email, "editor"])).code, 0)
  await isRefusedWithinASecond(() => anna.get("/api/users"), 403)

  assert.equal((await run(["user", "disable", email])).stdout, "Anna@example.com is disabled.\n")
  await isRefusedWithinASecond(() => anna.get("/api/me"), 401)
  const other = new Browser(url)
  assert.equal((await other.post("/api/login", { email, password: made.stdout.trim() })).status, 400)
  assert.match((await run(["user", "enable", email])).stdout, /is let in again, with the role editor/)
  // Its sessions ended with the disabling.
  assert.equal((await anna.get("/api/me")).status, 401)
  const again = await loggedIn(url, email, made.stdout.trim())

  const changed = await run(["user", "password", email])
  assert.equal(changed.stderr, "Anna@example.com has a new password, shown only now.\n")
  await isRefusedWithinASecond(() => again.get("/api/me"), 401)
  assert.equal((await other.post("/api/login", { email, password: made.stdout.trim() })).status, 400)
  await loggedIn(url, email, changed.stdout.trim())
})

test("sessions in Redis end with a new password, too", { skip: noRedis }, async (t) => {
  const redis = await startRedis(t)
  const { run, start } = await projectWithDatabase(t, { REDIS_URL: redis.url })
  const made = await run(["user", "create", "anna@example.com"])
  const anna = await loggedIn(await start(), "anna@example.com", made.stdout.trim())
  assert.equal((await run(["user", "password", "anna@example.com"])).code, 0)
  await isRefusedWithinASecond(() => anna.get("/api/me"), 401)

  await redis.kill()
  const { code, stdout, stderr } = await run(["user", "disable", "anna@example.com"])
  assert.deepEqual([code, stdout], [1, "anna@example.com is disabled.\n"])
  assert.match(stderr, /^The sessions were not ended\. Redis at .* does not work: /m)
})

test("accounts are listed oldest first, and searched by text and role", async (t) => {
  const { inOneProcess } = await projectWithDatabase(t)
  const run = inOneProcess()
  assert.deepEqual(await run(["user", "list"]), {
    code: 0,
    stdout: "",
    stderr: "There are no accounts. To make one: npx trestle user create EMAIL\n",
  })
  await run(["user", "create", "anna@example.com", "--role", "admin", "--first-name", "Anna", "--last-name", "Miller"])
  await run(["user", "create", "bob@example.com", "--first-name", "B\u001b[31mob"])
  await run(["user", "disable", "bob@example.com"])
  const listed = async (...flags: string[]) =>
    (await run(["user", "list", ...flags])).stdout.replace(/\d{4}-\d\d-\d\d/g, "DATE")
  const anna = "anna@example.com                  admin      Anna Miller               since DATE\n"
  const bob = "bob@example.com                   editor     B\\x1b[31mob               since DATE  disabled\n"
  assert.equal(await listed(), anna + bob)
  assert.equal(await listed("--search", "MILL"), anna)
  assert.equal(await listed("--role", "admin"), anna)
  assert.equal(await listed("--role", "disabled"), bob)
  assert.deepEqual(await run(["user", "list", "--role", "editor"]), {
    code: 0,
    stdout: "",
    stderr: "No account matches.\n",
  })
})

test("a password that is piped in is held to the rules, and printed nowhere", async (t) => {
  const rules = { ACCOUNTS_PASSWORD_MIN_LENGTH: "12", ACCOUNTS_PASSWORD_NEEDS_MIXED: "true" }
  const { run, pipe, start } = await projectWithDatabase(t, rules)
  const create = ["user", "create", "anna@example.com", "--password-stdin"]
  for (const [password, reason] of [
    ["Ab3", /^A password has at least 12 characters/],
    ["bananas are blue", /^A password needs an upper-case letter and a digit/],
    ["Bananas are blue 7\nno", /line breaks/],
    ["", /^A password has at least 12/],
  ] as const) {
    const { code, stderr } = await pipe(password, create)
    assert.equal(code, 1)
    assert.match(stderr, reason)
  }
  const password = "Bananas are blue 7"
  const made = await pipe(`${password}\r\n`, create)
  assert.deepEqual(made, {
    code: 0,
    stdout: "",
    stderr: "Made the account of anna@example.com, with the role editor.\n",
  })
  const url = await start()
  await loggedIn(url, "anna@example.com", password)
  const changed = await pipe("Bananas are green 7\n", ["user", "password", "anna@example.com", "--password-stdin"])
  assert.deepEqual([changed.code, changed.stdout], [0, ""])
  await loggedIn(url, "anna@example.com", "Bananas are green 7")

  // One that is made keeps them as well.
  const { stdout } = await run(["user", "password", "anna@example.com"])
  await loggedIn(url, "anna@example.com", stdout.trim())
})

test("a password that is made is as long as the rules want", async (t) => {
  const { run } = await projectWithDatabase(t, { ACCOUNTS_PASSWORD_MIN_LENGTH: "64" })
  const { code, stdout } = await run(["user", "create", "anna@example.com"])
  assert.equal(code, 0)
  assert.match(stdout, /^(\w{5}-){10}\w{5}\n$/)
})

test("what cannot be is said in a sentence, with what to do", async (t) => {
  const { inOneProcess } = await projectWithDatabase(t)
  const run = inOneProcess()
  assert.equal((await run(["user", "create", "anna@example.com"])).code, 0)
  const mistakes: [string[], string][] = [
    [["create", "ANNA@example.com"], "ANNA@example.com has an account already."],
    [["create", "anna"], '"anna" is no e-mail address.'],
    [["create", "b@example.com", "--role", "edtor"], 'There is no role "edtor". Did you mean "editor"?'],
    [["create", "b@example.com", "--role", "disabled"], 'There is no role "disabled".'],
    [["create", "b@example.com", "--first-name", "x".repeat(101)], "--first-name takes up to 100 characters."],
    [["create"], "EMAIL is missing.\ntrestle user create EMAIL "],
    [["role", "anna@example.com"], "ROLE is missing.\ntrestle user role EMAIL ROLE "],
    [["role", "anna@example.com", "editor", "now"], '"now" is one word too many.'],
    [
      ["role", "anna@example.com", "root"],
      'There is no role "root". The roles are readonly, editor, admin, superuser.',
    ],
    [["role", "anna@example.com", "disabled"], "To let it in nowhere: npx trestle user disable anna@example.com"],
    [["disable", "bob@example.com"], "No account has the address bob@example.com."],
    [["list", "--role", "disbled"], 'There is no role "disbled". Did you mean "disabled"?'],
  ]
  const answers = await Promise.all(mistakes.map(([args]) => run(["user", ...args])))
  for (const [i, [args, message]] of mistakes.entries()) {
    const { code, stdout, stderr } = answers[i]!
    assert.deepEqual([code, stdout, stderr.slice(0, message.length)], [1, "", message], args.join(" "))
  }
})

test("without its tables a database of others is left alone", async (t) => {
  const { address, drop } = await createTestDatabase([])
  t.after(drop)
  const { run } = await makeProject(t)
  const { code, stderr } = await run(["user", "list"], { DATABASE_URL: urlOf(address) })
  assert.deepEqual([code, stderr], [1, "The database lacks migrations. Apply them: npx trestle migrate up\n"])
})
