// @together
/** What mails say, and what no data can make them say. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { AccountMail, type App, defineApp, html, type MailContent, mailTemplate, sql, Type } from "trestle"
import { testApp } from "trestle/testing"
import { composeMail } from "../src/mail/compose.ts"
import { readMail } from "../src/mail/read-mail.ts"
import { templatesOf } from "../src/mail/templates.ts"

const data = Type.Object({ name: Type.String({ maxLength: 50 }) })
const saying = (say: (name: string) => MailContent, name = "hello") =>
  mailTemplate(name, { data }, ({ data }) => say(data.name))
const hello = saying((name) => ({ subject: `Hello ${name}`, text: `Hello ${name}`, html: html`<p>Hello ${name}` }))

const appOf = (more: Partial<App>) => defineApp({ name: "sample", routes: {}, folder: import.meta.dirname, ...more })

const envelope = { id: "1f0e", from: { name: 'A "B", C', address: "a@b.example" }, to: "anna@example.com" }
const linesOf = (raw: Buffer) => raw.toString().split("\r\n\r\n", 1)[0]!.split("\r\n")

test("nothing in a subject or a name makes another header", async () => {
  for (const evil of [
    "x\r\nBcc: evil@example.com",
    "x\nBcc: evil@example.com",
    "x\rBcc:evil@example.com",
    "x\0\x0b\x85y",
  ]) {
    const { raw } = await composeMail(
      { ...envelope, from: { name: evil, address: "a@b.example" } },
      { subject: evil, text: "x" },
    )
    const names = linesOf(raw).flatMap((line) => /^([\w-]+):/.exec(line)?.[1] ?? [])
    assert.deepEqual(
      names.filter((name) => /bcc/i.test(name)),
      [],
    )
    assert.ok(linesOf(raw).every((line) => !/[\r\n\0]/.test(line)))
    assert.equal(readMail(raw).headers.get("subject"), evil.replace(/\p{Cc}+/gu, " "))
  }
})

test("long and foreign subjects and names arrive as they were", async () => {
  for (const text of [`Grüße, ${"лето ".repeat(40)}end`, "a_b=c?d 😀", "x".repeat(400)]) {
    const { raw } = await composeMail(
      { ...envelope, from: { name: text, address: "a@b.example" } },
      { subject: text, text },
    )
    assert.ok(linesOf(raw).every((line) => line.length < 999 && /^[ -~]*$/.test(line)))
    const mail = readMail(raw)
    assert.equal(mail.headers.get("subject"), text)
    assert.equal(mail.text.trimEnd(), text)
  }
})

test("only one plain address can be written to", async () => {
  const wrong = [
    ...[
      "",
      "anna",
      "a@b.example, c@d.example",
      "a@b.example\r\nBcc: c@d.example",
      "Anna <a@b.example>",
      "<a@b.example>",
    ],
    ...[
      '"a\r\nb"@c.example',
      '"a b"@c.example',
      "a@[127.0.0.1]",
      "a@b.example ",
      "ä@b.example",
      `${"a".repeat(250)}@b.example`,
    ],
  ]
  for (const to of wrong) {
    await assert.rejects(composeMail({ ...envelope, to }, { subject: "x", text: "x" }), TypeError, to)
  }
  await assert.rejects(composeMail({ ...envelope, id: "a@b>\r\n" }, { subject: "x", text: "x" }), TypeError)
})

test("a template's parts are text, never a file or a URL to be fetched", async () => {
  for (const part of [{ path: "/etc/passwd" }, { href: "http://127.0.0.1/" }, Buffer.from("x"), undefined]) {
    await assert.rejects(composeMail(envelope, { subject: "x", text: part as never }), TypeError)
    await assert.rejects(composeMail(envelope, { subject: part as never, text: "x" }), TypeError)
  }
})

test("HTML is escaped by what makes it, and the mail has no HTML where the template makes none", async (t) => {
  const plain = saying((name) => ({ subject: name, text: name }), "plain")
  const { server, jobs, mails } = await testApp(t, appOf({ mails: [hello, plain] }))
  const to = "anna@example.com"
  await server.mail.send({ to, template: hello, data: { name: "<script>alert(1)</script>" } })
  await server.mail.send({ to, template: plain, data: { name: "<b>" } })
  await jobs.run()
  const [rich, bare] = mails.sort((a, b) => b.subject.length - a.subject.length)
  assert.equal(rich!.html, "<p>Hello &lt;script&gt;alert(1)&lt;/script&gt;")
  assert.equal(rich!.text, "Hello <script>alert(1)</script>")
  assert.deepEqual([bare!.subject, bare!.text, bare!.html], ["<b>", "<b>\n", undefined])
})

test("a mail that cannot be is refused when it is sent", async (t) => {
  const stranger = saying(() => ({ subject: "", text: "" }), "hallo")
  const { server, jobs } = await testApp(t, appOf({ mails: [hello] }))
  const { mail } = server
  const to = "anna@example.com"
  await assert.rejects(mail.send({ to: '"a\r\nb"@c.example', template: hello, data: { name: "x" } }), TypeError)
  await assert.rejects(
    mail.send({ to, template: stranger, data: { name: "x" } }),
    /The mail "hallo" is not in defineApp\({ mails }\)\. Add it there\. Did you mean "hello"\?/,
  )
  const canary = "canary".repeat(10)
  await assert.rejects(mail.send({ to, template: hello, data: { name: canary } }), (error: Error) => {
    assert.match(error.message, /The data of the mail "hello" is wrong: \/name must not have more than 50 characters/)
    assert.doesNotMatch(error.message, /canary/)
    return true
  })
  assert.deepEqual(await jobs.sent(), [])
})

test("a mail that this version does not know, or whose data it does not take, waits and says why", async (t) => {
  const { server, jobs, db } = await testApp(t, appOf({ mails: [hello] }))
  const to = "anna@example.com"
  const id = await server.mail.send({ to, template: hello, data: { name: "x" } })
  const change = (data: string) =>
    sql`
    update trestle_jobs.job set data = data || ${data}::jsonb where id = ${id}`.execute(db)
  await change('{ "template": "gone" }')
  await jobs.run()
  assert.match((await jobs.find(id))!.error!, /This version has no mail "gone"/)
  await change('{ "template": "hello", "data": { "nom": "x" } }')
  await jobs.run({ early: true })
  assert.match((await jobs.find(id))!.error!, /The data of the mail "hello" is wrong/)
})

test("a link of a mail leads to this server, whatever the path says", async (t) => {
  const linking = mailTemplate("linking", { data }, ({ data, link }) => ({ subject: "x", text: link(data.name) }))
  const { server, jobs, mails } = await testApp(t, appOf({ mails: [linking] }), {
    env: { PUBLIC_URL: "https://a.example" },
  })
  for (const name of [
    "/a?b=c#d",
    "https://evil.example/",
    "//evil.example/",
    "/\\evil.example",
    "javascript:alert(1)",
  ]) {
    await server.mail.send({ to: "anna@example.com", template: linking, data: { name } })
  }
  const ran = await jobs.run()
  assert.deepEqual(
    mails.map(({ text }) => text),
    ["https://a.example/a?b=c#d\n"],
  )
  const usual = await testApp(t, appOf({ mails: [linking] }), { env: { PORT: "80", HOST: "::1" } })
  await usual.server.mail.send({ to: "anna@example.com", template: linking, data: { name: "/a" } })
  await usual.jobs.run()
  assert.equal(usual.mails[0]?.text, "http://[::1]/a\n")
  const errors = ran.filter(({ error }) => error)
  assert.equal(errors.length, 4)
  for (const { error } of errors) assert.match(String(error), /A link of a mail is to a path of this server/)
})

test("an application has words of its own for a mail of the kit's", async (t) => {
  const own = mailTemplate("trestle.reset-password", { data: AccountMail }, ({ data, link }) => ({
    subject: "Neues Passwort",
    text: `Hallo ${data.name}: ${link(data.path)}`,
  }))
  const { visitor, person, jobs, mails, db } = await testApp(t, appOf({ mails: [own] }))
  const anna = person("editor", "Anna")
  await anna.get("/api/me")
  await sql`update trestle.users set verified = now(), first_name = ${"Anna\nMaria"}`.execute(db)
  await visitor.post("/api/password/forgot", { email: anna.email })
  await jobs.run()
  assert.equal(mails[0]!.subject, "Neues Passwort")
  assert.match(mails[0]!.text, /^Hallo Anna Maria: http:\/\/localhost:8100\/auth\/reset\?token=[\w-]{43}\n$/)
})

test("names of mails that cannot be stop the start", () => {
  const named = (name: string, schema = data) => mailTemplate(name, { data: schema }, () => ({ subject: "", text: "" }))
  const kit = [named("trestle.reset-password")]
  assert.throws(() => named("Hello"), { name: "BootError", message: /"Hello" is not/ })
  assert.throws(() => templatesOf(kit, [named("a"), named("a")]), {
    name: "BootError",
    message: /Two mails are called "a"/,
  })
  assert.throws(() => templatesOf(kit, [named("trestle.reset-pasword")]), {
    name: "BootError",
    message: /The kit has no mail "trestle\.reset-pasword"\. Did you mean "trestle\.reset-password"\?/,
  })
  const other = Type.Object({})
  assert.throws(() => templatesOf(kit, [named("trestle.reset-password", other as never)]), {
    name: "BootError",
    message: /takes the place of one of the kit's/,
  })
})
