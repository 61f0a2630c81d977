// @together
/** Mails as an application sends them: by jobs, through a mail server or into a folder. */
import assert from "node:assert/strict"
import { type TestContext, test } from "node:test"
import { type App, defineApp, html, mailTemplate, sql, Type } from "trestle"
import { testApp } from "trestle/testing"
import { SmtpServer } from "./smtp-server.ts"

const welcome = mailTemplate("welcome", { data: Type.Object({ name: Type.String() }) }, ({ data, link }) => ({
  subject: `Willkommen, ${data.name}`,
  text: `Hello ${data.name}!\n.\nYour movies: ${link("/movies?a=1&b=2")}\n`,
  html: html`<p>Hello <b>${data.name}</b>, <a href="${link("/movies?a=1&b=2")}">your movies</a>`,
}))

/** An application that sends this mail. */
const appOf = (more: Partial<App> = {}) =>
  defineApp({ name: "sample", routes: {}, mails: [welcome], folder: import.meta.dirname, ...more })

const anna = { to: "anna@example.com", template: welcome, data: { name: "Anna Müller" } }

/** The application with a mail server. */
async function start(t: TestContext, { login, env = {} }: { login?: string; env?: Record<string, string> } = {}) {
  const smtp = new SmtpServer()
  await smtp.listen(t)
  const app = await testApp(t, appOf(), { env: { ...smtp.settings(login), ...env } })
  return { ...app, smtp, mail: app.server.mail }
}

test("a mail reaches the mail server as its template says, from whom the settings say", async (t) => {
  const { smtp, mail, jobs, mails } = await start(t, { env: { MAIL_REPLY_TO: "help@example.com" } })
  const id = await mail.send(anna)
  assert.deepEqual(mails, [], "nothing is sent but by a job")
  await jobs.run()
  const [taken, ...more] = smtp.mails
  assert.deepEqual(more, [])
  assert.deepEqual([taken!.from, taken!.to], ["movies@example.com", ["anna@example.com"]])
  const header = (name: string) => taken!.headers.get(name)
  assert.equal(header("from"), "Movies <movies@example.com>")
  assert.equal(header("reply-to"), "help@example.com")
  assert.equal(header("to"), "anna@example.com")
  assert.equal(header("subject"), "Willkommen, Anna Müller")
  assert.equal(header("message-id"), `<${id}@example.com>`)
  assert.equal(header("auto-submitted"), "auto-generated")
  assert.ok(Math.abs(Date.parse(header("date")!) - Date.now()) < 60_000)
  assert.equal(taken!.text, "Hello Anna Müller!\n.\nYour movies: https://movies.example/movies?a=1&b=2\n")
  assert.equal(
    taken!.html,
    '<p>Hello <b>Anna Müller</b>, <a href="https://movies.example/movies?a=1&amp;b=2">your movies</a>',
  )
  assert.match(taken!.raw, /^Subject: =\?UTF-8\?Q\?Willkommen=2C_Anna_M=C3=BCller\?=\r$/m)
  assert.match(taken!.raw, /^Content-Type: multipart\/alternative;/m)
  assert.doesNotMatch(taken!.raw, /[^\r]\n/, "lines end as RFC 5322 has it")
  const { id: sentId, from, to, subject } = mails[0]!
  assert.deepEqual(
    { sentId, from, to, subject },
    { sentId: id, from: "Movies <movies@example.com>", to: anna.to, subject: "Willkommen, Anna Müller" },
  )
})

test("a mail is sent with what was committed with it, and not when that was rolled back", async (t) => {
  const { server, jobs, db, mails } = await testApp(t, appOf())
  const send = (name: string, outcome: "commit" | "roll back") =>
    db
      .transaction()
      .execute(async (tx) => {
        await server.mail.send({ ...anna, data: { name }, tx })
        if (outcome === "roll back") throw new Error(outcome)
      })
      .catch((error: Error) => assert.equal(error.message, "roll back"))
  await send("Anna", "commit")
  await send("Bert", "roll back")
  await jobs.run()
  assert.deepEqual(
    mails.map(({ subject }) => subject),
    ["Willkommen, Anna"],
  )
})

test("with the mail server away for a while a mail arrives later, once", async (t) => {
  const { smtp, mail, jobs } = await start(t)
  await smtp.close()
  const id = await mail.send(anna)
  const [ran] = await jobs.run()
  assert.match(String(ran!.error), /^MailFailure: The mail server 127\.0\.0\.1:\d+ did not take it: .*ECONNREFUSED/)
  assert.deepEqual(await jobs.run(), [], "it waits before it is tried again")
  assert.equal((await jobs.find(id))!.phase, "waiting")
  await smtp.listen(t)
  await jobs.run({ early: true })
  await jobs.run({ early: true })
  assert.equal(smtp.mails.length, 1)
  assert.equal((await jobs.find(id))!.phase, "done")
})

test("a mail server that has no time now is asked again; one that will never take it is not", async (t) => {
  const { smtp, mail, jobs, log } = await start(t)
  smtp.override = (command) => (command.startsWith("RCPT") ? "451 4.3.0 not now" : undefined)
  const later = await mail.send(anna)
  await jobs.run()
  assert.equal((await jobs.find(later))!.phase, "waiting")
  smtp.override = () => undefined
  await jobs.run({ early: true })
  assert.equal((await jobs.find(later))!.phase, "done")

  for (const refused of ["RCPT", "."]) {
    smtp.override = (command) => (command.startsWith(refused) ? "550 5.1.1 nobody of that name here" : undefined)
    const never = await mail.send(anna)
    await jobs.run()
    const { phase, error, attempts } = (await jobs.find(never))!
    assert.deepEqual({ phase, attempts }, { phase: "dead", attempts: 1 })
    assert.match(error!, /nobody of that name here/)
  }
  assert.equal(smtp.mails.length, 1)
  assert.match(log.join(""), /nobody of that name here/)
})

test("what is wrong with the login can be put right while the mail waits", async (t) => {
  const { smtp, mail, jobs } = await start(t)
  for (const refused of ["MAIL", "RCPT"]) {
    smtp.override = (command) => (command.startsWith(refused) ? "530 5.7.0 log in first" : undefined)
    const id = await mail.send(anna)
    await jobs.run()
    assert.equal((await jobs.find(id))!.phase, "waiting", refused)
  }
})

test("a mail whose end is not known is sent again, and is the same mail by its Message-ID", async (t) => {
  const { smtp, mail, jobs } = await start(t)
  let isFirst = true
  smtp.override = (command) => {
    if (command !== "." || !isFirst) return undefined
    isFirst = false
    return "hang up"
  }
  await mail.send(anna)
  await mail.send({ ...anna, to: "bert@example.com" })
  await jobs.run({ early: true })
  const ids = smtp.mails.map(({ to, headers }) => `${to} ${headers.get("message-id")}`)
  assert.equal(ids.length, 3)
  assert.equal(new Set(ids).size, 2)
})

test("no password is in an error or in the log, whatever the mail server says", async (t) => {
  const password = "hush+canary/1"
  const { smtp, mail, jobs, log, db } = await start(t, { login: `anna:${encodeURIComponent(password)}` })
  const plain = Buffer.from(`\0anna\0${password}`).toString("base64")
  smtp.override = (command) =>
    command.startsWith("AUTH") ? `535 5.7.8 no: ${command} is ${password}, ${plain}` : undefined
  const id = await mail.send(anna)
  await jobs.run()
  const { error, phase } = (await jobs.find(id))!
  assert.equal(phase, "waiting", "the password can be put right")
  assert.match(error!, /535/)
  const rows = (await sql`select output::text from trestle_jobs.job`.execute(db)).rows
  const said = `${error} ${log.join("")} ${JSON.stringify(rows)}`
  for (const secret of [password, plain, Buffer.from(password).toString("base64")]) {
    assert.ok(!said.includes(secret), `${secret} is in ${said}`)
  }
  smtp.override = () => undefined
  await jobs.run({ early: true })
  assert.equal(smtp.mails[0]!.login, `anna:${password}`)
})
