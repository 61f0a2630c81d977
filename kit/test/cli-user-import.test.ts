/** `trestle user import`: what is taken over from files of other servers, and what is refused and why. */
import assert from "node:assert/strict"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import pg from "pg"
import { createPasswords } from "../src/auth/passwords.ts"
import { readCsv } from "../src/cli/user-import/csv.ts"
import { readRows } from "../src/cli/user-import/file.ts"
import { readJsonArray, readJsonLines } from "../src/cli/user-import/json.ts"
import { connectionOptions } from "../src/db/database.ts"
import { ledgersOf } from "../src/db/migrations.ts"
import { createTestDatabase } from "../src/db/test-database.ts"
import { makeProject, urlOf } from "./project.ts"

/** "toomanysecrets", as passlib's documentation has it. */
const passlib = "$pbkdf2-sha256$29000$N2YMIWQsBWBMae09x1jrPQ$1t8iyB2A.WF/Z5JZv.lfCIhXXN33N23OSgQYThBYRfk"
const argon2 = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$Q0xPVURTIEFSRSBNQURFIE9GIFdBVEVSIDEyMzQ1Njc"

/** Imports files into a database of the test's own. */
async function importer(t: TestContext) {
  const { address, drop } = await createTestDatabase(await ledgersOf("/nonexistent"))
  const client = new pg.Client(connectionOptions(address))
  t.after(async () => {
    await client.end()
    await drop()
  })
  await client.connect()
  const project = await makeProject(t)
  const run = (file: string, ...flags: string[]) =>
    project.run(["user", "import", file, ...flags], { DATABASE_URL: urlOf(address) })
  const importFile = async (content: string, ...flags: string[]) => {
    await project.write("users", content)
    const ended = await run("users", ...flags)
    for (const secret of ["pbkdf2-sha256$29000", "1t8iyB2A", "c29tZXNhb", "hunter2"]) {
      assert.ok(!(ended.stdout + ended.stderr).includes(secret), `it printed ${secret}`)
    }
    return ended
  }
  const rows = async (columns: string) =>
    (await client.query({ text: `select ${columns} from trestle.users order by email`, rowMode: "array" })).rows
  return { importFile, rows, run }
}

test("RESTPie3's table comes with ids, moments, roles and passwords", async (t) => {
  const { importFile, rows } = await importer(t)
  const csv = `\ufeffid,created,modified,email,password,first_name,last_name,role,tags\r
1f0c9a34-6c0b-4b53-9d0a-0d4f3a1b2c3d,2020-05-17 09:30:00.123456,2021-01-01 00:00:00,Anna@example.com,${passlib},Anna,"Miller, ""Dr""",superuser,"{1,2}"\r
2F0C9A34-6C0B-4B53-9D0A-0D4F3A1B2C3D,2020-05-17 09:30:00+02,,bob@example.com,"${argon2}","Bob\r
the second",,disabled,"{""a b"",NULL,c\\\\d}"\r
\r
,,,carl@example.com,,,,,`
  assert.deepEqual(await importFile(csv), {
    code: 0,
    stdout: "Imported 3 accounts.\nWithout a password: 1. Give them one: npx trestle user password EMAIL\n",
    stderr: "",
  })
  assert.deepEqual(await rows("email, password, first_name, last_name, role, disabled, tags"), [
    ["Anna@example.com", passlib, "Anna", 'Miller, "Dr"', "superuser", false, ["1", "2"]],
    ["bob@example.com", argon2, "Bob\r\nthe second", "", "readonly", true, ["a b", "c\\\\d"]],
    ["carl@example.com", null, "", "", "editor", false, []],
  ])
  const moments = "id, to_char(created at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'), company, verified"
  assert.deepEqual((await rows(moments)).slice(0, 2), [
    ["1f0c9a34-6c0b-4b53-9d0a-0d4f3a1b2c3d", "2020-05-17 09:30:00.123456", null, null],
    ["2f0c9a34-6c0b-4b53-9d0a-0d4f3a1b2c3d", "2020-05-17 07:30:00.000000", null, null],
  ])
  const passwords = createPasswords()
  t.after(() => passwords.close())
  assert.deepEqual(await passwords.verify("toomanysecrets", passlib), { ok: true, outdated: true })
})

test("each row that is wrong is told with its line and all reasons, and the others are imported", async (t) => {
  const { importFile, rows } = await importer(t)
  const roles = "The roles are readonly, editor, admin, superuser, disabled"
  const unknownHash =
    "the password's hash is of a kind that cannot be checked here, as only $pbkdf2-sha256$ of passlib and $argon2id$ can"
  const plain = "the password is plain text, which is refused: leave it empty, or hash it with passlib's pbkdf2_sha256"
  const notMoment = 'created is no moment such as "2020-05-17 09:30:00"'
  const lines: [row: string, mistake?: string][] = [
    ["Email,Password,fname,lname,Role,Created,id,tags,phone"],
    [`anna@example.com,${passlib},Anna,Miller,admin,,,,1`],
    ["too@example.com,few,values", "it has 3 values, and the first line has 9 names"],
    [
      "anna,hunter2,Anna,Miller,admn,yesterday,abc,{a,",
      `the id is neither a uuid nor a number; the role is unknown. Did you mean "admin"? ${roles}; ${notMoment}; ` +
        `the e-mail address is invalid; ${plain}; tags is no list`,
    ],
    ["bob@example.com,$2b$12$abcdefghijklmnopqrstuvABCDEFGHIJKLMNOPQRSTUVWXYZ01234,,,,,,,", unknownHash],
    ["bob@example.com,5f4dcc3b5aa765d61d8327deb882cf99,,,,,,,", unknownHash],
    ["ANNA@example.com,,,,,,,,", "the address stands in line 2 already"],
    ['eve@example.com,"hunter2"x,,,,,,,', "a quote ends in the middle of a value; inside quotes it is written twice"],
    ["dora@example.com,,,,root,2020-02-30,7,a,", `the role is unknown. ${roles}; ${notMoment}`],
    ["carl@example.com,,,,,2020-02-29 23:59:59Z,7,x,"],
    [
      `,,${"x".repeat(101)},,,2020-05-17 24:00:00,,${"y".repeat(51)},`,
      `${notMoment}; it has no e-mail address; the first name is longer than 100 characters; ` +
        "there are more than 50 tags, or one is longer than 50 characters",
    ],
    ["nul@example.com,,a\0b,,,,,,", "first_name has a character that cannot be stored"],
    ['frank@example.com,"hunter2', "a quote begins that is never closed, so all to the end of the file is in it"],
  ]
  const { code, stdout, stderr } = await importFile(lines.map(([row]) => row).join("\n"))
  const told = lines.flatMap(([, mistake], i) => (mistake ? [`Line ${i + 1}: ${mistake}.\n`] : []))
  assert.equal(stderr, told.join(""))
  assert.equal(
    stdout,
    "Imported 2 accounts.\n" +
      "Without a password: 1. Give them one: npx trestle user password EMAIL\n" +
      "With another id than in the file, where it is no uuid: 1.\n" +
      "Not looked at: phone.\n" +
      "Refused: 10, for the reasons above.\n",
  )
  assert.equal(code, 1)
  assert.deepEqual(await rows("email, role, tags"), [
    ["anna@example.com", "admin", []],
    ["carl@example.com", "editor", ["x"]],
  ])
})

test("JSON is read as lines and as an array, and broken objects are told without what is in them", async (t) => {
  const { importFile, rows } = await importer(t)
  const anna = { email: "anna@example.com", password: passlib, tags: ["a", 2], disabled: true, fullname: "Anna" }
  const text = `${JSON.stringify(anna)}\n\n{"email": "bob@example.com", "password": "${passlib}\n[1]\n{"email": {}}\n`
  const broken = await importFile(text)
  assert.deepEqual(broken, {
    code: 1,
    stdout: "Imported 1 account.\nRefused: 3, for the reasons above.\n",
    stderr: "Line 3: it is no object in JSON.\nLine 4: it is no object in JSON.\nLine 5: email is no text.\n",
  })
  const bob = { email: "bob@example.com", lname: 'B "[{', company: "Acme", created: "2020-05-17T09:30:00" }
  const array = await importFile(JSON.stringify([anna, bob], null, 2))
  assert.deepEqual([array.code, array.stderr], [0, ""])
  assert.match(array.stdout, /^Imported 1 account\.\n.*\nThere already: 1 account, in line 2\.\n$/)
  assert.deepEqual(await rows("email, last_name, company, tags, disabled"), [
    ["anna@example.com", "", null, ["a", "2"], true],
    ["bob@example.com", 'B "[{', "Acme", [], false],
  ])
})

test("a file is imported again without harm, also one that was cut off", async (t) => {
  const { importFile, rows } = await importer(t)
  const people = Array.from({ length: 2500 }, (_, i) => ({ email: `person${i}@example.com`, password: passlib }))
  const whole = JSON.stringify(people, null, 1)
  const cut = await importFile(whole.slice(0, whole.indexOf("person1500@")))
  assert.deepEqual([cut.code, cut.stdout], [1, "Imported 1500 accounts.\n"])
  assert.match(cut.stderr, /^The array does not end: the file is cut off in line \d+, or a bracket is missing\.\n$/)
  const csv = `email,role\n${people.map(({ email }) => `${email.toUpperCase()},admin\n`).join("")}new@example.com,\n`
  const { code, stdout } = await importFile(csv)
  assert.equal(code, 0)
  assert.match(stdout, /^Imported 1001 accounts\.\n.*\nThere already: 1500 accounts, in lines 2-1501\.\n$/)
  const again = await importFile(csv)
  assert.deepEqual(
    [again.code, again.stdout],
    [0, "Imported 0 accounts.\nThere already: 2501 accounts, in lines 2-2502.\n"],
  )
  assert.equal((await rows("email")).length, 2501)
  // What was there is as it was.
  assert.deepEqual((await rows("role")).filter(([role]) => role === "editor").length, 1501)
})

test("an id that belongs to somebody else is refused, in the file and in the database", async (t) => {
  const { importFile } = await importer(t)
  const id = "1f0c9a34-6c0b-4b53-9d0a-0d4f3a1b2c3d"
  assert.equal((await importFile(`id,email\n${id},anna@example.com`)).code, 0)
  const { code, stderr } = await importFile(`id,email\n${id},bob@example.com\n${id.toUpperCase()},carl@example.com`)
  assert.equal(code, 1)
  assert.equal(stderr, "Line 3: the id stands in line 2 already.\nLine 2: its id belongs to another account.\n")
})

test("with --dry-run the same is said, and nothing changed", async (t) => {
  const { importFile, rows } = await importer(t)
  const csv = "email,role\nanna@example.com,admin\nbob@example.com,root\n"
  const { code, stdout, stderr } = await importFile(csv, "--dry-run")
  assert.equal(code, 1)
  assert.match(stdout, /^Would import 1 account\.\n/)
  assert.match(stderr, /^Line 3: the role is unknown\./)
  assert.deepEqual(await rows("email"), [])
})

test("a file that cannot be meant is refused as a whole", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "trestle-import-"))
  t.after(() => rm(folder, { recursive: true }))
  const file = join(folder, "users")
  const mistakes: [string | Buffer, RegExp][] = [
    ["\n", /users is empty\.$/],
    [
      `anna@example.com,${passlib}\n`,
      /^The first line of the file names no column "email"\. Write: email,password,role$/,
    ],
    ["email;password\n", /names no column "email"\. Its values are to be separated by commas\./],
    ["email,role,role\n", /names the column "role" twice/],
    ["[1, 2]", /^Line 1 of the file: an array of objects was expected/],
    ["[{}\n] more", /^Line 2 of the file: an array of objects was expected/],
    [`{"email": "${"x".repeat(1_100_000)}"}`, /^Line 1 of the file does not end\./],
    [`[{"email": "${"x".repeat(1_100_000)}"}]`, /^The object in line 1 of the file does not end\./],
    [`email,first_name\nanna@example.com,"${"x".repeat(1_100_000)}`, /^The row in line 2 does not end\./],
    [
      Buffer.from("email,fname\nanna@example.com,Ren\xe9", "latin1"),
      /users is not UTF-8\. Save it as UTF-8, or convert it/,
    ],
  ]
  for (const [content, message] of mistakes) {
    await writeFile(file, content)
    await assert.rejects(all(readRows(file)), { name: "BootError", message })
  }
  const { importFile, run } = await importer(t)
  const misspelt = await importFile(`email,passwrd\nanna@example.com,${passlib}\n`)
  const message = 'An account has no "passwrd". Did you mean "password"? Nothing is imported from here on.\n'
  assert.deepEqual(misspelt, { code: 1, stdout: "", stderr: message })
  const missing = await run("none")
  assert.deepEqual([missing.code, missing.stdout], [1, ""])
  assert.match(missing.stderr, /^There is no file none\.\n/)
})

test("rows are the same however the text comes in pieces", async () => {
  const csv = 'email,"first ""name"""\r\n"a,""b""\r\nc",d\r\n\r\ne,\n"",""\nf,"g"'
  const array = '[ {"email": "a\\"}", "tags": [["b"], {"c": "]"}]},\n\n {}, {"é": "\\\\"} ]\n'
  const readers = { [csv]: readCsv, [array]: readJsonArray, [array.slice(1).replaceAll("\n", "")]: readJsonLines }
  for (const [text, read] of Object.entries(readers)) {
    const whole = await all(read(inPieces(text, text.length)))
    for (const length of [1, 2, 3, 7]) {
      assert.deepEqual(await all(read(inPieces(text, length))), whole, `${length} of ${text}`)
    }
  }
  assert.deepEqual(await all(readCsv(inPieces(csv, 1))), [
    { line: 2, values: { email: 'a,"b"\r\nc', 'first_"name"': "d" } },
    { line: 5, values: { email: "e", 'first_"name"': "" } },
    { line: 6, values: { email: "", 'first_"name"': "" } },
    { line: 7, values: { email: "f", 'first_"name"': "g" } },
  ])
  assert.deepEqual(await all(readJsonArray(inPieces(array, 1))), [
    { line: 1, values: { email: 'a"}', tags: [["b"], { c: "]" }] } },
    { line: 3, values: {} },
    { line: 3, values: { é: "\\" } },
  ])
})

async function* inPieces(text: string, length: number): AsyncGenerator<string> {
  for (let at = 0; at < text.length; at += length) yield text.slice(at, at + length)
}

async function all<T>(values: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const value of values) list.push(value)
  return list
}
