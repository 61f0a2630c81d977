/** What the commands take, and what they say to mistakes. */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { createTestDatabase } from "../src/db/test-database.ts"
import { longestDays } from "../src/http/certificates.ts"
import { usualDays } from "../src/http/tls.ts"
import { makeProject, urlOf } from "./project.ts"

test("--help after a command prints its usage, and does nothing", async (t) => {
  const project = await makeProject(t)
  const run = project.inOneProcess()
  const whole = await project.run(["--help"])
  assert.equal(whole.code, 0)
  for (const name of [
    "start",
    "dev",
    "status",
    "reload",
    "test [FILES]",
    "migrate new NAME",
    "token revoke ID",
    "db url",
    "node ARGS",
  ]) {
    assert.ok(whole.stdout.includes(`trestle ${name} `), name)
  }
  assert.doesNotMatch(whole.stdout, /dev-worker|web-worker/)
  for (const args of [[], ["help"], ["-h"]]) assert.deepEqual(await run(args), whole)

  const newToken = await run(["token", "new", "--name", "robot", "--help"])
  assert.equal(newToken.code, 0)
  assert.match(
    newToken.stdout,
    /^trestle token new {13}makes .*\n {2}--name NAME .*\n {2}--role ROLE .*\n {2}--expires .*\n$/,
  )
  const token = await run(["token", "-h"])
  assert.match(token.stdout, /^trestle token new .*trestle token list .*trestle token revoke ID /s)
  assert.deepEqual(await run(["help", "token"]), token)
  assert.match((await run(["test", "-h"])).stdout, /^trestle test \[FILES\] .*\n$/)

  const certificate = await run(["certificate", "-h"])
  assert.ok(certificate.stdout.includes(`(default: ${usualDays}, at most ${longestDays})`), certificate.stdout)
})

test("--version prints the version of the kit", async (t) => {
  const { run } = await makeProject(t)
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, "../package.json"), "utf8"))
  assert.deepEqual(await run(["--version"]), { code: 0, stdout: `${version}\n`, stderr: "" })
})

test("a mistake in the arguments is said in a sentence, with what is meant and the usage", async (t) => {
  const run = (await makeProject(t)).inOneProcess()
  const mistakes: Record<string, string> = {
    strat: 'There is no command "strat". Did you mean "start"?\ntrestle start ',
    version: 'There is no command "version".\nTo see all commands: npx trestle help\n',
    "migrate foo": 'There is no "migrate foo".\ntrestle migrate up ',
    "migrate stauts": 'There is no "migrate stauts". Did you mean "status"?\ntrestle migrate up ',
    migrate: "Say what to do:\ntrestle migrate up ",
    "migrate new": "NAME is missing.\ntrestle migrate new NAME ",
    "migrate down app": '"app" is one word too many.\ntrestle migrate down ',
    "token revoke": "ID is missing.\ntrestle token revoke ID ",
    "token revoke a b": '"b" is one word too many.\ntrestle token revoke ID ',
    "token new --nmae robot": 'There is no --nmae. Did you mean "--name"?\ntrestle token new ',
    "token new --name": "NAME is missing after --name.\ntrestle token new ",
    "token new --name --role": "NAME is missing after --name.\ntrestle token new ",
    "token list --name robot": "There is no --name.\ntrestle token list ",
    "certificate --force=yes": "--force takes no value.\ntrestle certificate ",
    "start now": '"now" is one word too many.\ntrestle start ',
    "status web": '"web" is one word too many.\ntrestle status ',
    "reload --json": "There is no --json.\ntrestle reload ",
    "dev -x": "There is no -x.\ntrestle dev ",
    "config server": '"server" is one word too many.\ntrestle config ',
    "db url please": '"please" is one word too many.\ntrestle db url ',
  }
  for (const [args, message] of Object.entries(mistakes)) {
    const { code, stdout, stderr } = await run(args.split(" "))
    assert.deepEqual([code, stdout, stderr.slice(0, message.length)], [1, "", message], args)
  }
})

test("trestle config shows where the key lies, and no password", async (t) => {
  const { run } = await makeProject(t)
  const { stdout } = await run(["config"], { DATABASE_URL: "postgres://me:s3cret@localhost/movies" })
  assert.match(stdout, /^tls\.key +"data\/tls\/key\.pem" {2}default$/m)
  assert.match(stdout, /^database\.url +"\(secret\)" {2}environment$/m)
  assert.doesNotMatch(stdout, /s3cret/)
})

test("trestle db url needs a server that runs, or DATABASE_URL", async (t) => {
  const { run, postmaster } = await makeProject(t)
  assert.deepEqual(await run(["db", "url"]), {
    code: 1,
    stdout: "",
    stderr: "The database runs only while the server does: start it with npm start, then ask again.\n",
  })
  assert.equal(await postmaster(), undefined)
  const DATABASE_URL = "postgres://me@localhost/movies"
  assert.deepEqual(await run(["db", "url"], { DATABASE_URL }), { code: 0, stdout: `${DATABASE_URL}\n`, stderr: "" })
})

test("in trestle test a test that hangs fails, after two minutes or when the caller says", async (t) => {
  const { address, drop } = await createTestDatabase([])
  t.after(drop)
  const { run } = await makeProject(t, {
    "test/limit.test.ts": 'console.log(process.execArgv.findLast((flag) => flag.startsWith("--test-timeout=")))',
    "test/hangs.test.ts": `import { test } from "node:test"
      test("hangs", () => new Promise(() => setTimeout(() => {}, 500)))`,
  })
  const env = { DATABASE_URL: urlOf(address) }
  assert.match((await run(["test", "test/limit.test.ts"], env)).stdout, /^--test-timeout=120000$/m)
  const { code, stdout } = await run(["test", "--test-timeout=50"], env)
  assert.equal(code, 1)
  assert.match(stdout, /^--test-timeout=50$/m)
  assert.match(stdout, /test timed out after 50ms/)
})
