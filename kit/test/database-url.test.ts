/** DATABASE_URL: a server of somebody else's, over TLS, with a password; and what is said when it does not work. */
import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { chmod, chown, mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { get } from "node:http"
import { createServer } from "node:net"
import { join } from "node:path"
import { after, before, type TestContext, test } from "node:test"
import { promisify } from "node:util"
import { sql, Type } from "trestle"
import { testApp } from "trestle/testing"
import { BootError } from "../src/core/errors.ts"
import { Log } from "../src/core/log.ts"
import { openDatabase } from "../src/db/database.ts"
import { checkServer } from "../src/db/server-check.ts"
import { testServerVariable } from "../src/db/test-database.ts"
import { isRoot, until } from "./embedded/scratch.ts"
import { sampleApp } from "./sample/app.ts"

const binaries = "/usr/lib/postgresql/15/bin"
const user = "owner"
const password = "p@ss/w:rd"
const run = promisify(execFile)
const done = { role: "visitor", schema: { response: { 200: Type.Object({ done: Type.Boolean() }) } } } as const

/** A throw-away cluster that listens on 127.0.0.1 with a certificate of its own, and wants a password. */
interface Cluster {
  folder: string
  port: number
  start(): Promise<unknown>
  stop(): Promise<unknown>
}

let cluster: Cluster | undefined
let reason = ""

async function lookFor(command: string, ...args: string[]): Promise<boolean> {
  return run(command, args).then(
    () => true,
    () => false,
  )
}

/** PostgreSQL refuses root, which lends it Debian's own user. */
async function account(): Promise<{ uid: number; gid: number } | undefined> {
  if (!isRoot) return undefined
  const id = async (which: string) => Number((await run("id", [which, "postgres"])).stdout)
  return { uid: await id("-u"), gid: await id("-g") }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

async function makeCluster(): Promise<Cluster> {
  const owner = await account()
  const folder = await mkdtemp("/tmp/trestle-test-cluster-")
  const certificate = (name: string) => [
    ...["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", `/CN=${name}`],
    ...[
      "-addext",
      "subjectAltName=DNS:localhost",
      "-out",
      join(folder, `${name}.crt`),
      "-keyout",
      join(folder, `${name}.key`),
    ],
  ]
  for (const name of ["server", "stranger"]) await run("openssl", certificate(name))
  await writeFile(join(folder, "password"), password)
  await chmod(folder, 0o755)
  for (const name of owner ? ["", "password", "server.crt", "server.key"] : []) {
    await chown(join(folder, name), owner!.uid, owner!.gid)
  }
  await chmod(join(folder, "server.key"), 0o600)
  const pg = (program: string, ...args: string[]) => run(join(binaries, program), args, { cwd: "/", ...owner })
  const data = join(folder, "data")
  await pg(
    "initdb",
    "-D",
    data,
    "-U",
    user,
    "--auth=scram-sha-256",
    `--pwfile=${join(folder, "password")}`,
    "-E",
    "UTF8",
    "--locale=C",
  )
  const port = await freePort()
  const settings = [
    `-p ${port} -k ${folder} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=30`,
    `-c ssl=on -c ssl_cert_file=${folder}/server.crt -c ssl_key_file=${folder}/server.key`,
  ].join(" ")
  return {
    folder,
    port,
    start: () => pg("pg_ctl", "-D", data, "-l", join(folder, "log"), "-o", settings, "-w", "start"),
    stop: () => pg("pg_ctl", "-D", data, "-m", "fast", "-w", "stop"),
  }
}

before(async () => {
  if (!(await lookFor(join(binaries, "postgres"), "--version"))) reason = `there is no PostgreSQL 15 in ${binaries}`
  else if (!(await lookFor("openssl", "version"))) reason = "there is no openssl"
  else {
    cluster = await makeCluster()
    await cluster.start()
    process.env[testServerVariable] = JSON.stringify({ url: urlOf() })
  }
})

after(async () => {
  await cluster?.stop().catch(() => {})
  if (cluster) await rm(cluster.folder, { recursive: true })
})

const urlOf = (change: { password?: string; database?: string; port?: number; host?: string; query?: string } = {}) => {
  const { host = "localhost", port = cluster!.port, database = "postgres", query = "sslmode=require" } = change
  return `postgres://${user}:${encodeURIComponent(change.password ?? password)}@${host}:${port}/${database}?${query}`
}

/** A test that needs the cluster. */
function onCluster(name: string, work: (t: TestContext, cluster: Cluster) => Promise<void>): void {
  test(name, async (t) => (cluster ? work(t, cluster) : t.skip(reason)))
}

/** Boots as a server does, and gives what it asks `sql` for. */
async function boot(url: string, question = "select 1 as answer"): Promise<unknown> {
  const settings = { poolSize: 1, connectTimeoutMs: 10_000, statementTimeoutMs: 0, idleInTransactionTimeoutMs: 0 }
  const log = new Log("error")
  const database = openDatabase({ url }, { ...settings, preparedStatements: true, logSql: false }, log)
  try {
    await checkServer(database.pool, 1, 10, log)
    return (await sql.raw<{ answer: unknown }>(question).execute(database.db)).rows[0]?.answer
  } finally {
    await database.close()
  }
}

const isEncrypted = "select ssl as answer from pg_stat_ssl where pid = pg_backend_pid()"

onCluster("sslmode=require encrypts and does not ask who answers", async () => {
  assert.equal(await boot(urlOf(), isEncrypted), true)
  assert.equal(await boot(urlOf({ query: "" }), isEncrypted), false)
})

onCluster("sslmode=verify-full takes the certificate that sslrootcert names, and no other", async (_, { folder }) => {
  const verified = (name: string, more = {}) =>
    boot(urlOf({ query: `sslmode=verify-full&sslrootcert=${folder}/${name}.crt`, ...more }), isEncrypted)
  assert.equal(await verified("server"), true)
  await refused(
    verified("stranger"),
    /localhost:\d+ \(postgres, as owner\) cannot be used: .*certificate.*\. Check sslmode and sslrootcert in DATABASE_URL\.$/,
  )
  await refused(verified("server", { host: "127.0.0.1" }), /does not match certificate.*Check sslmode and sslrootcert/)
  await refused(verified("nowhere"), /^DATABASE_URL does not work: ENOENT.*nowhere\.crt/)
})

/** A boot error of this text, which holds the password nowhere. */
async function refused(attempt: Promise<unknown>, message: RegExp, secret = password): Promise<void> {
  const error = await attempt.then(
    () => assert.fail("It should not work."),
    (error) => error,
  )
  assert.ok(error instanceof BootError, String(error.stack))
  assert.match(error.message, message)
  for (const form of [secret, encodeURIComponent(secret)]) assert.ok(!error.stack!.includes(form))
}

onCluster("a DATABASE_URL that does not work stops the boot with what to do, and without the password", async () => {
  const wrong = "wr0ng&secret"
  await refused(
    boot(urlOf({ password: wrong })),
    /^The database at localhost:\d+ \(postgres, as owner\) cannot be used: password authentication failed for user "owner"\. Check the user, password/,
    wrong,
  )
  await refused(
    boot(urlOf({ database: "nowhere" })),
    /\(nowhere, as owner\) cannot be used: database "nowhere" does not exist\. Check the user, password and database name/,
  )
  await refused(
    boot(urlOf({ port: await freePort() })),
    /cannot be used: .*ECONNREFUSED.*\. Start it, or put its address/,
  )
  await refused(
    boot(urlOf({ host: "nowhere.invalid" })),
    /cannot be used: .*nowhere\.invalid\. Start it, or put its address/,
  )
  await refused(
    boot(`postgres://${user}:${encodeURIComponent(password)}@[/postgres`),
    /^DATABASE_URL does not work: Invalid URL$/,
  )
})

onCluster("a server without room for one more connection says so", async (t, { port }) => {
  const owner = urlOf()
  await boot(owner, "create role narrow login password 'narrow' connection limit 0")
  t.after(() => boot(owner, "drop role narrow"))
  const narrow = `postgres://narrow:narrow@localhost:${port}/postgres`
  await refused(boot(narrow), /too many connections for role "narrow"\. Stop other programs that use it/, ":narrow@")
})

onCluster("cancelling works over TLS", async (t) => {
  const app = await testApp(
    t,
    sampleApp((api) => {
      api.get("/", done, async () => {
        await sql`select pg_sleep(60) /* over TLS */`.execute(api.db)
        return { done: true }
      })
    }),
  )
  const sleeping = async () => {
    const { rows } = await sql<{ ssl: boolean }>`
      select ssl from pg_stat_activity join pg_stat_ssl using (pid) where state = 'active' and query like '%/* over TLS */'`.execute(
      app.db,
    )
    return rows
  }
  const request = get(`${app.url}/api/sample`).on("error", () => {})
  await until(async () => (await sleeping()).length === 1, 30_000)
  assert.deepEqual(await sleeping(), [{ ssl: true }])
  const began = performance.now()
  request.destroy()
  await until(async () => (await sleeping()).length === 0, 30_000)
  t.diagnostic(`gone after ${Math.round(performance.now() - began)} ms`)
})

onCluster("while the server is away the answer is 503, and when it is back all goes on", async (t, { start, stop }) => {
  const { visitor, log } = await testApp(
    t,
    sampleApp((api) => {
      api.get("/", done, async () => {
        await sql`select 1`.execute(api.db)
        return { done: true }
      })
    }),
  )
  const ask = () => visitor.get("/api/sample")
  await Promise.all(Array.from({ length: 8 }, ask))
  await stop()
  for (let i = 0; i < 5; i++) {
    const { status, headers, body } = await ask()
    assert.equal(status, 503)
    assert.equal(headers.get("retry-after"), "2")
    assert.equal(body.detail, "The database cannot be reached. Try again soon.")
  }
  await start()
  const statuses = (await Promise.all(Array.from({ length: 20 }, ask))).map(({ status }) => status)
  assert.deepEqual(new Set(statuses), new Set([200]))
  assert.ok(!log.join("").includes(password))
  // A line each, without a stack.
  const said = log.filter((line) => line.includes("The database cannot be reached"))
  assert.equal(said.length, 5)
  for (const line of said) assert.match(line, /\(WARNING\) [^\n]*\n$/)
})

onCluster("a restart under load is 200 or 503, never anything else", async (t, { start, stop, folder }) => {
  const { visitor } = await testApp(
    t,
    sampleApp((api) => {
      api.get("/", done, async () => {
        await api.db.transaction().execute(async (tx) => {
          await sql`select pg_sleep(0.002)`.execute(tx)
          await sql`select 1`.execute(tx)
        })
        return { done: true }
      })
    }),
  )
  const counts: Record<number, number> = {}
  let isOver = false
  const load = Array.from({ length: 8 }, async () => {
    while (!isOver) {
      const { status } = await visitor.get("/api/sample")
      counts[status] = (counts[status] ?? 0) + 1
    }
  })
  await until(() => (counts[200] ?? 0) > 50, 30_000)
  await stop()
  await until(() => (counts[503] ?? 0) > 50, 30_000)
  const before = counts[200]!
  await start()
  await until(() => counts[200]! > before + 50, 30_000)
  isOver = true
  await Promise.all(load)
  t.diagnostic(JSON.stringify(counts))
  assert.deepEqual(Object.keys(counts), ["200", "503"])
  assert.ok(!(await readFile(join(folder, "log"), "utf8")).includes("PANIC"))
})
