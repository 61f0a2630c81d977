// @together
/** Where the secret of a link in a mail is, and where it is not: only in the mail. */
import assert from "node:assert/strict"
import { hash } from "node:crypto"
import { test } from "node:test"
import { type Db, sql } from "trestle"
import { testApp } from "trestle/testing"
import { Browser, person } from "./browser.ts"
import { sentNow, tokenIn } from "./links.ts"
import { sampleApp } from "./sample/app.ts"

/** Every row of every table, as text. */
async function everything(db: Db): Promise<string> {
  const { rows: tables } = await sql<{ schema: string; name: string }>`
    select table_schema as schema, table_name as name from information_schema.tables
    where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')`.execute(db)
  assert.ok(tables.length > 10)
  const texts = []
  for (const { schema, name } of tables) {
    const { rows } = await sql<{
      row: string
    }>`select t::text as row from ${sql.table(`${schema}.${name}`)} as t`.execute(db)
    texts.push(...rows.map(({ row }) => `${schema}.${name} ${row}`))
  }
  return texts.join("\n")
}

/** The ways in which a text may be written. */
const spellings = (text: string) => [
  text,
  Buffer.from(text).toString("hex"),
  Buffer.from(text).toString("base64"),
  Buffer.from(text, "base64url").toString("hex"),
  Buffer.from(text, "base64url").toString("base64"),
]

test("the token of a link is in no table but as its hash, in no job, in no line of the log, and in no answer", async (t) => {
  const env = { LOGGING_LEVEL: "debug", LOG_SQL: "values", ACCOUNTS_VERIFY_EMAIL: "optional" }
  const made = await testApp(
    t,
    sampleApp(() => {}),
    { env },
  )
  const { visitor, url, db, log, jobs } = made
  const { email, password } = person("anna")
  const anna = new Browser(url)
  const answers: unknown[] = []
  const noted = async (answer: Promise<{ body: unknown; headers: Headers }>) => {
    const { body, headers } = await answer
    answers.push(body, [...headers])
  }
  await noted(anna.post("/api/signup", person("anna")))
  await noted(visitor.post("/api/password/forgot", { email }))
  await noted(anna.post("/api/me/email", { email: "new@example.com", password }))
  const beforeSending = await everything(db)
  const mails = await sentNow(made)
  const tokens = mails.filter(({ text }) => text.includes("token=")).map(tokenIn)
  assert.equal(tokens.length, 3)
  const whileTheyCount = await everything(db)
  for (const token of tokens) {
    assert.ok(
      whileTheyCount.includes(hash("sha256", token, "hex")),
      "its hash is kept, so this looks in the right place",
    )
    assert.ok(!beforeSending.includes(hash("sha256", token, "hex")), "it is made by the job")
  }
  assert.match(beforeSending, /trestle_jobs\.[\s\S]*anna@example\.com/)

  const [verifying, forgotten, changing] = ["Verify your e-mail", "Choose a new", "Verify your new"].map((subject) =>
    tokenIn(mails.find((mail) => mail.subject.startsWith(subject))),
  )
  const isForm = { "content-type": "application/x-www-form-urlencoded" }
  const send = (path: string, fields: Record<string, string>) =>
    visitor.call("POST", path, new URLSearchParams(fields).toString(), isForm)
  await visitor.get(`/auth/verify?token=${verifying}`)
  await visitor.get(`/auth/reset?token=${forgotten}`)
  await noted(send("/auth/verify", { token: verifying! }))
  await noted(visitor.post("/api/email/verify", { token: changing }))
  await visitor.get(`/auth/verify?token=${changing}`)
  await visitor.get(`/api/password/reset?token=${forgotten}`)
  await visitor.get(`/nowhere?next=/auth/reset?token=${forgotten}`)
  await visitor.post("/api/password/forgot", { email: "new@example.com" })
  const fresh = tokenIn((await sentNow(made))[0])
  await send("/auth/reset", { token: fresh, password: "short" })
  await noted(visitor.post("/api/password/reset", { token: fresh, password: "Another horse 9" }))
  await jobs.run()

  const lines = log.join("")
  assert.match(lines, /GET \/auth\/reset\?token=\*\*\* -> 200/)
  assert.match(lines, /insert into trestle\.account_links/)
  const places = { before: beforeSending, while: whileTheyCount, after: await everything(db), log: lines }
  for (const token of [...tokens, fresh]) {
    for (const spelling of spellings(token)) {
      for (const [name, text] of Object.entries(places))
        assert.ok(!text.includes(spelling), `${spelling} is in ${name}`)
      assert.ok(!JSON.stringify(answers).includes(spelling), "an answer has it")
    }
  }
  // Nor is what mails say in the log.
  for (const { text } of made.mails) {
    for (const line of text.split("\n").filter((line) => line.length > 30)) assert.ok(!lines.includes(line), line)
  }
})
