/**
 * A database of its own for each test, copied in milliseconds from a template that has had the migrations. The server is
 * the one that `trestle test` started, or DATABASE_URL from the environment (never from `.env`), or an embedded one that
 * lives as long as the tests of this process need it. Nothing is touched there but databases of the names made here.
 */
import { createHash, randomBytes } from "node:crypto"
import { readFileSync, rmSync, statfsSync, statSync } from "node:fs"
import { chmod, mkdtemp, readdir, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import pg from "pg"
import { BootError } from "../core/errors.ts"
import { Log } from "../core/log.ts"
import { connectionOptions, type DatabaseAddress, openDatabase, readUrl } from "./database.ts"
import { openEmbedded } from "./embedded/embedded.ts"
import { type Ledger, migrateUp } from "./migrations.ts"

/** Set by `trestle test` for the processes that it starts. */
export const testServerVariable = "TRESTLE_TEST_SERVER"

/** Templates are made anew after this many milliseconds, and what is older than twice that is a leftover of a killed run. */
const freshMs = 24 * 3600_000

/** How long an embedded server outlives the last test, in milliseconds: the next test of the file comes soon, busy as the machine is. */
const lingerMs = 1000

export interface TestServer {
  address: DatabaseAddress
  stop(): Promise<void>
}

/** The server for tests: DATABASE_URL's, else an embedded one in memory where there is room. */
export async function openTestServer(): Promise<TestServer> {
  const url = process.env.DATABASE_URL
  if (url) {
    const address = { url }
    await dropLeftovers(address)
    return { address, stop: async () => {} }
  }
  const base = roomInMemory() ? "/dev/shm" : tmpdir()
  await removeLeftovers(base)
  const folder = await mkdtemp(join(base, folderPrefix))
  // Root's PostgreSQL runs as another user, who has to pass through; the data's own folder is closed to others.
  await chmod(folder, 0o711)
  const remove = () => rmSync(folder, { recursive: true, force: true })
  process.once("exit", remove)
  const embedded = await openEmbedded({
    folder: join(folder, "postgres"),
    rootBase: join(folder, "root"),
    durable: false,
    maxConnections: 200,
  })
  return {
    address: embedded.connection,
    async stop() {
      await embedded.stop()
      remove()
      process.off("exit", remove)
    },
  }
}

/** Whether databases fit into /dev/shm. Copying a template takes 8 to 12 ms there and up to 350 ms on a disk. */
export function roomInMemory(): boolean {
  try {
    const { bavail, bsize } = statfsSync("/dev/shm")
    return bavail * bsize > 1024 ** 3
  } catch {
    return false
  }
}

const folderPrefix = "trestle-test-server-"

/** Removes the folders of runs that were killed: they take memory. */
async function removeLeftovers(base: string): Promise<void> {
  for (const name of await readdir(base)) {
    if (!name.startsWith(folderPrefix)) continue
    const folder = join(base, name)
    const made = statSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? Date.now()
    // What belongs to another user stays.
    if (Date.now() - made > 2 * freshMs) await rm(folder, { recursive: true, force: true }).catch(() => {})
  }
}

let users = 0
let server: Promise<TestServer> | undefined
let lingering: NodeJS.Timeout | undefined

/** Gives the server, and starts one where there is none; it stops soon after the last one gave it back. */
async function borrowServer(): Promise<TestServer> {
  const given = process.env[testServerVariable]
  if (given) return { address: JSON.parse(given) as DatabaseAddress, stop: async () => {} }
  users++
  clearTimeout(lingering)
  server ??= openTestServer()
  const { address } = await server
  return {
    address,
    async stop() {
      if (--users > 0) return
      lingering = setTimeout(() => {
        const last = server
        server = undefined
        void last?.then((one) => one.stop())
      }, lingerMs)
    },
  }
}

/** A database that a test may do anything with. */
export interface TestDatabase {
  address: DatabaseAddress
  drop(): Promise<void>
}

/** Makes a database that has had these migrations; without any it is empty. */
export async function createTestDatabase(ledgers: Ledger[]): Promise<TestDatabase> {
  const lent = await borrowServer()
  const name = nameOf(randomBytes(5).toString("hex"))
  try {
    await withAdmin(lent.address, async (admin) => {
      const template = ledgers.length > 0 ? await templateFor(lent.address, admin, ledgers) : "template0"
      await admin.query(`create database ${name} template ${template} strategy ${await fastestCopy(admin)}`)
    })
  } catch (error) {
    await lent.stop()
    throw error
  }
  return {
    address: withName(lent.address, name),
    async drop() {
      await withAdmin(lent.address, (admin) => admin.query(`drop database if exists ${name} with (force)`))
      await lent.stop()
    },
  }
}

/**
 * How PostgreSQL copies a template best. Copying files waits for two checkpoints: nothing where fsync is off (9 ms
 * instead of 24 for one, 5 instead of 16 for four at once), but much on the disk of a server that keeps its data.
 */
async function fastestCopy(admin: pg.Client): Promise<"file_copy" | "wal_log"> {
  const { rows } = await admin.query<{ fsync: string }>("show fsync")
  return rows[0]?.fsync === "off" ? "file_copy" : "wal_log"
}

/** Names begin with the time, so that a later run knows what was left behind. */
const nameOf = (rest: string) => `trestle_test_${Date.now().toString(36)}_${rest}`

/** When a database was made by us, in milliseconds; undefined for one that was not. */
function madeAt(name: string): number | undefined {
  const time = /^trestle_test_([0-9a-z]{8})_(?:[0-9a-f]{10}|(?:template|draft)_[0-9a-f]{20})$/.exec(name)?.[1]
  return time === undefined ? undefined : Number.parseInt(time, 36)
}

/** The template of these migrations: its name holds a hash of the files, so all processes of a day share it. */
async function templateFor(address: DatabaseAddress, admin: pg.Client, ledgers: Ledger[]): Promise<string> {
  const hash = hashOf(ledgers)
  // One process makes it, the others wait here; the lock ends with the connection at the latest.
  await admin.query("select pg_advisory_lock(hashtext($1))", [hash])
  const known = (await ownDatabases(admin)).filter((name) => name.endsWith(`_template_${hash}`)).sort()
  const newest = known.at(-1)
  const template =
    newest && Date.now() - madeAt(newest)! < freshMs ? newest : await makeTemplate(address, admin, hash, ledgers)
  await admin.query("select pg_advisory_unlock(hashtext($1))", [hash])
  return template
}

async function makeTemplate(
  address: DatabaseAddress,
  admin: pg.Client,
  hash: string,
  ledgers: Ledger[],
): Promise<string> {
  const draft = nameOf(`draft_${hash}`)
  await admin.query(`create database ${draft} template template0`).catch((cause) => {
    if ((cause as pg.DatabaseError).code !== "42501") throw cause
    throw new BootError(
      "Tests make databases of their own, but the user of DATABASE_URL may not: alter role … createdb.",
      {
        cause,
      },
    )
  })
  const settings = { poolSize: 1, connectTimeoutMs: 30_000, statementTimeoutMs: 0, idleInTransactionTimeoutMs: 0 }
  const database = openDatabase(
    withName(address, draft),
    { ...settings, preparedStatements: false, logSql: false },
    new Log("warn"),
  )
  try {
    await migrateUp(database.db, ledgers)
  } finally {
    await database.close()
  }
  const template = nameOf(`template_${hash}`)
  await admin.query(`alter database ${draft} rename to ${template}`)
  return template
}

function hashOf(ledgers: Ledger[]): string {
  const hash = createHash("sha256")
  for (const { names, place } of ledgers) for (const name of names) hash.update(`${name}\n${contentOf(place(name))}\n`)
  return hash.digest("hex").slice(0, 20)
}

/** The kit's own migrations have no file to read here; their names change when they do. */
function contentOf(place: string): string {
  try {
    return readFileSync(place, "utf8")
  } catch {
    return place
  }
}

async function ownDatabases(admin: pg.Client): Promise<string[]> {
  const { rows } = await admin.query<{ name: string }>("select datname as name from pg_database")
  return rows.map(({ name }) => name).filter((name) => madeAt(name) !== undefined)
}

async function dropLeftovers(address: DatabaseAddress): Promise<void> {
  await withAdmin(address, async (admin) => {
    for (const name of await ownDatabases(admin)) {
      if (Date.now() - madeAt(name)! < 2 * freshMs) continue
      // What belongs to another user stays.
      await admin.query(`drop database if exists ${name} with (force)`).catch(() => {})
    }
  })
}

async function withAdmin<T>(address: DatabaseAddress, work: (admin: pg.Client) => Promise<T>): Promise<T> {
  const admin = new pg.Client(connectionOptions(address))
  await admin.connect()
  try {
    return await work(admin)
  } finally {
    await admin.end()
  }
}

function withName(address: DatabaseAddress, database: string): DatabaseAddress {
  if (!("url" in address)) return { ...address, database }
  const url = readUrl(address.url)
  url.pathname = `/${database}`
  return { url: url.href }
}
