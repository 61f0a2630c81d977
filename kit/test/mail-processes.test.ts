/** Mails in the processes of `trestle start` and `trestle dev`, whatever happens to those. */
import assert from "node:assert/strict"
import { readdir, readFile, stat } from "node:fs/promises"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { ledgersOf } from "../src/db/migrations.ts"
import { createTestDatabase } from "../src/db/test-database.ts"
import type { Status } from "../src/supervisor/status.ts"
import { person } from "./browser.ts"
import { makeProject, type Project, urlOf } from "./project.ts"
import { SmtpServer } from "./smtp-server.ts"

const application = `import { defineApp, mailTemplate, Type } from "trestle"

const welcome = mailTemplate("welcome", { data: Type.Object({ name: Type.String() }) }, ({ data }) => ({
  subject: "Welcome",
  text: "Hello " + data.name + "\\n",
}))
export default defineApp({
  name: "sample",
  routes: {},
  mails: [welcome],
  onSignup: ({ user, mail, tx }) => mail.send({ to: user.email, template: welcome, data: { name: user.first_name }, tx }),
  folder: import.meta.dirname,
})
`

async function projectWith(t: TestContext, env: Record<string, string> = {}) {
  const { address, drop } = await createTestDatabase(await ledgersOf("/nonexistent"))
  t.after(drop)
  const project = await makeProject(t, { "app/app.ts": application })
  return { project, env: { DATABASE_URL: urlOf(address), WORKERS_JOBS: "1", RATE_LIMIT_ENABLED: "false", ...env } }
}

async function signUp(url: string, name: string): Promise<void> {
  const headers = { "content-type": "application/json" }
  const { status } = await fetch(`${url}/api/signup`, { method: "POST", headers, body: JSON.stringify(person(name)) })
  assert.equal(status, 201)
}

/** The process that runs jobs. */
async function jobProcess(project: Project): Promise<number> {
  const status = JSON.parse((await project.run(["status", "--json"])).stdout) as Status
  return status.processes.find(({ name }) => name.startsWith("job"))!.pid!
}

test("a mail is sent by another process, and again, as the same one, when that is killed in the midst of it", async (t) => {
  const smtp = new SmtpServer()
  await smtp.listen(t)
  const { project, env } = await projectWith(t, { WORKERS_WEB: "2", ...smtp.settings("anna:canary") })
  const server = project.start(["start"], env)
  const [, url = ""] = await server.says(/is at (http\S+)\n/)
  await signUp(url, "anna")
  await smtp.taken(1)
  assert.equal(smtp.mails[0]!.text, "Hello Anna\n")

  smtp.override = (command) => (command === "." ? "nothing" : undefined)
  await signUp(url, "bert")
  await smtp.taken(2)
  smtp.override = () => undefined
  process.kill(await jobProcess(project), "SIGKILL")
  await smtp.taken(3)
  const [, first, second] = smtp.mails.map(({ to, headers }) => `${to} ${headers.get("message-id")}`)
  assert.match(first!, /^bert@example\.com /)
  assert.equal(first, second)

  server.kill("SIGTERM")
  const { stdout, stderr } = await server.ended
  const said = stdout + stderr + (await readFile(join(project.folder, "logs/server.log"), "utf8"))
  assert.doesNotMatch(said, /canary|Hello Anna|data\/mail/)
})

test("without a mail server a start says once where mails go, and they are files of their owner", async (t) => {
  const { project, env } = await projectWith(t, { WORKERS_WEB: "2" })
  const server = project.start(["start"], env)
  const [, url = ""] = await server.says(/is at (http\S+)\n/)
  await signUp(url, "anna")
  await server.says(/job trestle\.mail: Done/)
  const folder = join(project.folder, "data/mail")
  const [name, ...more] = await readdir(folder)
  assert.deepEqual(more, [])
  assert.match(name!, /^[0-9a-f-]{36}\.eml$/)
  assert.match(await readFile(join(folder, name!), "utf8"), /^To: anna@example\.com\r$/m)
  assert.equal((await stat(join(folder, name!))).mode & 0o777, 0o600)
  assert.equal((await fetch(`${url}/dev/mail`)).status, 404)
  server.kill("SIGTERM")
  const { stdout } = await server.ended
  assert.equal(stdout.match(/Mails are not sent but written to data\/mail/g)?.length, 1)
})

test("a start in production with a mail server needs to know who writes and where links lead", async (t) => {
  const { project, env } = await projectWith(t, { SMTP_URL: "smtp://anna:canary@smtp.example.com" })
  const { code, stderr, stdout } = await project.run(["start"], env)
  assert.notEqual(code, 0)
  assert.match(stderr, /mail\.from is missing\. Set MAIL_FROM[\s\S]*server\.public_url is missing\. Set PUBLIC_URL/)
  assert.doesNotMatch(stdout + stderr, /canary/)
})

test("in development mails are read at /dev/mail", async (t) => {
  const { project, env } = await projectWith(t)
  const dev = project.start(["dev"], env)
  const [, url = ""] = await dev.says(/Development at (http\S+)\. /)
  await signUp(url, "anna")
  await dev.says(/job trestle\.mail: Done/)
  const page = await (await fetch(`${url}/dev/mail`)).text()
  assert.match(page, /<strong>Welcome<\/strong>\s*<span>anna@example\.com<\/span>/)
  dev.kill("SIGTERM")
  assert.doesNotMatch((await dev.ended).stdout, /Mails are not sent/)
})
