// @together
/** The ways that mails go: a mail server with and without TLS, and a folder. And what the settings must say for it. */
import assert from "node:assert/strict"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { readdir, readFile, stat } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { effectiveSettings, loadConfig } from "../src/core/config/index.ts"
import { Log } from "../src/core/log.ts"
import { makeCertificate } from "../src/http/certificates.ts"
import { composeMail } from "../src/mail/compose.ts"
import { MailFolder } from "../src/mail/mail-folder.ts"
import { transportOf, warnOfNoMailServer } from "../src/mail/settings.ts"
import { smtpOptions, smtpTransport } from "../src/mail/smtp.ts"
import { SmtpServer } from "./smtp-server.ts"

const composed = (id = "1f0e", text = "Hello") =>
  composeMail({ id, from: { address: "movies@example.com" }, to: "anna@example.com" }, { subject: "Hello", text })

function scratch(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "trestle-mail-"))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A mail server with a certificate that it signed itself. */
async function encrypting(t: TestContext): Promise<SmtpServer> {
  const folder = scratch(t)
  const [certificate, key] = [join(folder, "certificate.pem"), join(folder, "key.pem")]
  await makeCertificate({ certificate, key, hosts: [], days: 2 })
  const smtp = new SmtpServer()
  smtp.tls = { cert: readFileSync(certificate, "utf8"), key: readFileSync(key, "utf8") }
  return smtp
}

test("smtp:// goes over to TLS when the mail server offers it, smtps:// begins with it", async (t) => {
  for (const isImplicit of [false, true]) {
    const smtp = await encrypting(t)
    smtp.isImplicit = isImplicit
    await smtp.listen(t)
    await smtpTransport(smtp.url("anna:secret")).send(await composed())
    assert.deepEqual(
      smtp.mails.map(({ isEncrypted, login }) => ({ isEncrypted, login })),
      [{ isEncrypted: true, login: "anna:secret" }],
    )
    assert.equal(smtp.commands.includes("STARTTLS"), !isImplicit)
  }
})

test("a password goes to another machine by TLS only, with a certificate that is trusted", () => {
  const told = (url: string) => {
    const { host, port, secure, requireTLS, tls, auth } = smtpOptions(url)
    return { host, port, secure, requireTLS, trusts: !tls!.rejectUnauthorized, user: auth?.user, pass: auth?.pass }
  }
  const none = { user: undefined, pass: undefined }
  assert.deepEqual(told("smtp://a%40b.example:p%3A%2Fw@smtp.example.com"), {
    ...{ host: "smtp.example.com", port: undefined, secure: false, requireTLS: true, trusts: false },
    ...{ user: "a@b.example", pass: "p:/w" },
  })
  assert.deepEqual(told("smtps://smtp.example.com:4465"), {
    ...{ host: "smtp.example.com", port: 4465, secure: true, requireTLS: false, trusts: false, ...none },
  })
  assert.deepEqual(told("smtp://smtp.example.com:25"), {
    ...{ host: "smtp.example.com", port: 25, secure: false, requireTLS: false, trusts: false, ...none },
  })
  assert.deepEqual(told("smtp://u:p@[::1]:25"), {
    ...{ host: "::1", port: 25, secure: false, requireTLS: false, trusts: true, user: "u", pass: "p" },
  })
})

test("a mail server that says nothing is left as soon as the job is called off", async (t) => {
  const smtp = new SmtpServer()
  await smtp.listen(t)
  const calledOff = new AbortController()
  smtp.override = (command) => {
    if (command !== ".") return undefined
    calledOff.abort()
    return "nothing"
  }
  await assert.rejects(smtpTransport(smtp.url()).send(await composed(), calledOff.signal), { name: "MailFailure" })
  smtp.override = () => undefined
  const before = smtp.commands.length
  await assert.rejects(smtpTransport(smtp.url()).send(await composed(), calledOff.signal), { name: "MailFailure" })
  assert.equal(smtp.commands.length, before)
})

test("a line of a mail that is a dot does not end it, and nothing of it is a command", async (t) => {
  const smtp = new SmtpServer()
  await smtp.listen(t)
  const text = "one\n.\nMAIL FROM:<evil@example.com>\n..two\n.three\n"
  await smtpTransport(smtp.url()).send(await composed("1f0e", text))
  assert.equal(smtp.mails.length, 1)
  assert.equal(smtp.mails[0]!.text, text)
  assert.equal(smtp.commands.filter((command) => command.startsWith("MAIL")).length, 1)
})

test("without a mail server each mail is a file that only its owner reads, whole or not there", async (t) => {
  const folder = join(scratch(t), "data", "mail")
  const transport = new MailFolder(folder)
  const mail = await composed()
  await transport.send(mail)
  await transport.send(mail)
  await transport.send(await composed("2f0e"))
  assert.deepEqual(
    (await readdir(folder)).sort(),
    ["1f0e.eml", "2f0e.eml"],
    "sent again it takes the first one's place",
  )
  const mode = async (path: string) => ((await stat(path)).mode & 0o777).toString(8)
  assert.deepEqual([await mode(folder), await mode(join(folder, "1f0e.eml"))], ["700", "600"])
  assert.deepEqual(await readFile(join(folder, "1f0e.eml")), mail.raw)

  const listed = await transport.list(10)
  assert.deepEqual(listed.map(({ id }) => id).sort(), ["1f0e", "2f0e"])
  assert.equal((await transport.list(1)).length, 1)
  for (const id of ["../1f0e", "..%2f1f0e", "", "3f0e", "1f0e.eml", "1f0e\0"]) {
    assert.equal(await transport.read(id), undefined, id)
  }
  assert.deepEqual(await transport.read("1f0e"), mail.raw)
})

test("the settings say all that is missing at once, and a start without a mail server says where mails go", (t) => {
  const folder = scratch(t)
  const open = (env: Record<string, string>, mode: "production" | "development" = "production") =>
    transportOf(loadConfig({ folder, env }), mode, folder)
  const SMTP_URL = "smtp://smtp.example.com"
  assert.throws(() => open({ SMTP_URL }), {
    name: "BootError",
    message: /mail\.from is missing\. Set MAIL_FROM[\s\S]*server\.public_url is missing\. Set PUBLIC_URL/,
  })
  const MAIL_FROM = "Movies <movies@example.com>"
  assert.throws(() => open({ SMTP_URL, MAIL_FROM }), /public_url/)
  assert.doesNotThrow(() => open({ SMTP_URL, MAIL_FROM }, "development"))
  assert.doesNotThrow(() => open({ SMTP_URL, MAIL_FROM, PUBLIC_URL: "https://movies.example" }))
  assert.ok(open({}) instanceof MailFolder)

  const lines: string[] = []
  const log = new Log("warn", "server", (line) => void lines.push(line))
  warnOfNoMailServer(loadConfig({ folder, env: {} }), log)
  warnOfNoMailServer(loadConfig({ folder, env: { SMTP_URL, MAIL_FROM } }), log)
  assert.equal(lines.length, 1)
  assert.match(lines[0]!, /\(WARNING\) mail: Mails are not sent but written to data\/mail\. Set SMTP_URL/)
})

test("what is no address or no mail server is refused, and the URL is shown nowhere", (t) => {
  const folder = scratch(t)
  for (const SMTP_URL of [
    "smtp.example.com",
    "http://smtp.example.com",
    "smtp://a:%@b",
    "smtp://",
    "smtp://a.example?tls=1",
  ]) {
    assert.throws(() => loadConfig({ folder, env: { SMTP_URL } }), /SMTP_URL/, SMTP_URL)
  }
  for (const MAIL_FROM of [
    "movies",
    "Movies <movies>",
    "a@b.example, c@d.example",
    "A\r\nBcc: b@c.example <a@b.example>",
  ]) {
    assert.throws(() => loadConfig({ folder, env: { MAIL_FROM } }), /MAIL_FROM/, MAIL_FROM)
  }
  const from = (MAIL_FROM: string) => loadConfig({ folder, env: { MAIL_FROM } }).mail.from
  assert.deepEqual(from("movies@example.com"), { address: "movies@example.com" })
  assert.deepEqual(from("Müller & Co. <movies@example.com>"), { name: "Müller & Co.", address: "movies@example.com" })
  const shown = JSON.stringify(effectiveSettings({ folder, env: { SMTP_URL: "smtp://anna:canary@smtp.example.com" } }))
  assert.match(shown, /"mail.smtp_url","env":"SMTP_URL","value":"\(secret\)"/)
  assert.doesNotMatch(shown, /canary/)
})
