/** `trestle certificate`, and a server that is started with what it made. */
import assert from "node:assert/strict"
import { execFile, spawn } from "node:child_process"
import { X509Certificate } from "node:crypto"
import { once } from "node:events"
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { createInterface } from "node:readline"
import { type TestContext, test } from "node:test"
import { promisify } from "node:util"
import { ledgersOf } from "../src/db/migrations.ts"
import { createTestDatabase } from "../src/db/test-database.ts"
import { later } from "./embedded/scratch.ts"
import { urlOf } from "./project.ts"

const run = promisify(execFile)
const kit = dirname(import.meta.dirname)
const main = join(kit, "src/cli/main.ts")

/** A project with a space in its name, whose application has no routes. */
function project(t: TestContext): string {
  const folder = join(mkdtempSync(join(tmpdir(), "certificate-")), "my project")
  later(t, () => rmSync(dirname(folder), { recursive: true, force: true }))
  mkdirSync(join(folder, "app/static"), { recursive: true })
  writeFileSync(join(folder, "package.json"), '{ "type": "module", "main": "app/app.ts" }')
  writeFileSync(
    join(folder, "app/app.ts"),
    'import { defineApp } from "trestle"\nexport default defineApp({ routes: {}, folder: import.meta.dirname })\n',
  )
  writeFileSync(join(folder, "app/static/index.html"), "<h1>Home</h1>")
  symlinkSync(join(kit, "../node_modules"), join(folder, "node_modules"))
  return folder
}

const trestle = (folder: string, ...args: string[]) =>
  run(process.execPath, [main, ...args], { cwd: folder, env: { ...process.env, HOST: "localhost" } })

test("it makes a certificate and a key for this machine, and says where and until when", async (t) => {
  const folder = project(t)
  const { stdout } = await trestle(folder, "certificate", "--days", "90")
  assert.match(stdout, /^Made data\/tls\/certificate\.pem and its key data\/tls\/key\.pem, until \d{4}-\d\d-\d\d\.\n/)
  assert.match(stdout, /It is for localhost, 127\.0\.0\.1, ::1/)
  assert.match(stdout, /TLS_MODE=files/)
  const [certificate, key] = ["certificate", "key"].map((name) => join(folder, `data/tls/${name}.pem`)) as [
    string,
    string,
  ]
  const days = (new X509Certificate(readFileSync(certificate)).validToDate.getTime() - Date.now()) / 86_400_000
  assert.ok(days > 89 && days <= 90)
  assert.equal(statSync(key).mode & 0o777, 0o600)
  assert.deepEqual(readdirSync(join(folder, "data/tls")).sort(), ["certificate.pem", "key.pem"], "nothing half-made")

  const before = readFileSync(key, "utf8")
  await assert.rejects(trestle(folder, "certificate"), {
    code: 1,
    stderr: /is there already\. To replace it, add --force/,
  })
  assert.equal(readFileSync(key, "utf8"), before)
  rmSync(certificate)
  await assert.rejects(trestle(folder, "certificate"), { stderr: /key\.pem is there already/ })
  await trestle(folder, "certificate", "--force")
  assert.notEqual(readFileSync(key, "utf8"), before)
})

test("it refuses lifetimes that nobody accepts", async (t) => {
  const folder = project(t)
  for (const days of ["0", "826", "1.5", "a year"]) {
    await assert.rejects(trestle(folder, "certificate", "--days", days), { stderr: /whole number from 1 to 825/ })
  }
  assert.equal(existsSync(join(folder, "data")), false)
})

test("a start with a self-signed certificate prints a curl that works as it stands", async (t) => {
  const folder = project(t)
  const database = await createTestDatabase(await ledgersOf(join(folder, "app")))
  later(t, () => database.drop())
  const env = {
    ...process.env,
    DATABASE_URL: urlOf(database.address),
    HOST: "localhost",
    PORT: "0",
    TLS_MODE: "self-signed",
  }
  const child = spawn(process.execPath, [main, "start"], { cwd: folder, env, stdio: ["ignore", "pipe", "inherit"] })
  const ended = once(child, "exit")
  later(t, async () => {
    child.kill("SIGTERM")
    await ended
  })
  let shown = ""
  let command: string | undefined
  for await (const line of createInterface({ input: child.stdout })) {
    shown += `${line}\n`
    command = /^ {2}Try: (curl .*)/.exec(line)?.[1]
    if (command) break
  }
  child.stdout.resume()
  assert.match(shown, / is at https:\/\/localhost:\d+\n/)
  assert.match(command ?? shown, /^curl --cacert data\/tls\/certificate\.pem https:\/\/localhost:\d+\/api\/health$/)
  const { stdout } = await run("sh", ["-c", command!.replace("curl", "curl -sS")], { cwd: folder })
  assert.match(stdout, /Server is healthy/)

  const page = command!.replace("curl", "curl -sS").replace("/api/health", "/")
  assert.match((await run("sh", ["-c", page], { cwd: folder })).stdout, /<h1>Home<\/h1>/)
})
