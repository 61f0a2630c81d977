/**
 * Migrations: the kit's and the application's, each in a ledger of its own in the schema `trestle`, so that either can
 * grow. All pending ones run in one transaction, under a lock: a failure leaves nothing behind, and of many processes
 * that start at once one does the work. (Kysely's Migrator has a transaction for each ledger, and sorts 10 before 2.)
 */
import { readdir } from "node:fs/promises"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { sql } from "kysely"
import type { Migration } from "kysely/migration"
import { BootError } from "../core/errors.ts"
import { statementOf } from "./connection.ts"
import type { Db } from "./database.ts"
import { kitMigrations } from "./kit-migrations/index.ts"

export type LedgerName = "kit" | "app"

/** A list of migrations, and the table that says which of them a database has had. */
export interface Ledger {
  name: LedgerName
  /** Names in the order in which they run. */
  names: string[]
  /** Where a migration stands, for messages. */
  place(name: string): string
  load(name: string): Promise<Migration>
}

export interface MigrationState {
  ledger: LedgerName
  name: string
  /** When it was applied, ISO 8601; undefined while it is pending. */
  applied: string | undefined
  /** False for one that the database has had and this version of the code does not have. */
  known: boolean
}

const schema = "trestle"
const tableOf = (ledger: LedgerName) => `${schema}.${ledger}_migrations`

/** The number of the lock: any, as long as nothing else in the database takes the same. */
const lock = 8_100_731

/** The ledgers of an application whose folder is given: the kit's first, since tables of the app may refer to its tables. */
export async function ledgersOf(appFolder: string): Promise<Ledger[]> {
  return [
    {
      name: "kit",
      names: Object.keys(kitMigrations),
      place: (name) => `trestle ${name}`,
      load: async (name) => kitMigrations[name]!,
    },
    await appLedger(join(appFolder, "migrations")),
  ]
}

/** `001_movies.ts`: a number, a name, and TypeScript or what it was compiled to. */
const fileName = /^(\d+)[_-]([a-z0-9_-]+)\.(?:ts|js)$/

async function appLedger(folder: string): Promise<Ledger> {
  const files = new Map<string, string>()
  const byNumber = new Map<number, string>()
  for (const file of (await entriesOf(folder)).sort()) {
    if (file.endsWith(".d.ts") || !/\.(ts|js)$/.test(file)) continue
    const match = fileName.exec(file)
    if (!match) {
      throw new BootError(
        `${join(folder, file)}: the name of a migration is a number, then a name, as in 002_actors.ts.`,
      )
    }
    const number = Number(match[1])
    const other = byNumber.get(number)
    if (other) throw new BootError(`${folder}: ${other} and ${file} have the same number. Give one of them the next.`)
    byNumber.set(number, file)
    files.set(file.replace(/\.(ts|js)$/, ""), join(folder, file))
  }
  const names = [...files.keys()].sort(byNumberThenName)
  return {
    name: "app",
    names,
    place: (name) => files.get(name) ?? name,
    load: (name) => loadMigration(files.get(name)!),
  }
}

const byNumberThenName = (a: string, b: string) => Number.parseInt(a, 10) - Number.parseInt(b, 10) || (a < b ? -1 : 1)

async function entriesOf(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return []
    throw error
  }
}

async function loadMigration(file: string): Promise<Migration> {
  let module: Partial<Migration>
  try {
    module = await import(pathToFileURL(file).href)
  } catch (cause) {
    throw new BootError(`The migration ${file} cannot be loaded: ${(cause as Error).message}`, { cause })
  }
  if (typeof module.up !== "function") {
    throw new BootError(`The migration ${file} exports no function "up". Write: export async function up(db: Db) { … }`)
  }
  return module as Migration
}

/** Which migrations a database has had, and which are pending, in the order of their numbers. Creates nothing. */
export async function migrationStates(db: Db, ledgers: Ledger[]): Promise<MigrationState[]> {
  const states: MigrationState[] = []
  for (const ledger of ledgers) {
    const applied = await appliedOf(db, ledger.name)
    const names = [...new Set([...applied.keys(), ...ledger.names])].sort(byNumberThenName)
    for (const name of names) {
      states.push({ ledger: ledger.name, name, applied: applied.get(name), known: ledger.names.includes(name) })
    }
  }
  return states
}

export const isPending = (state: MigrationState): boolean => state.applied === undefined

/** The ones that a newer version of the code has applied; with them an older version may still run. */
export const isUnknown = (state: MigrationState): boolean => !state.known

/** The names of the applied ones, in the order in which they ran, with the time of each. */
async function appliedOf(db: Db, ledger: LedgerName): Promise<Map<string, string>> {
  const table = tableOf(ledger)
  const { rows: found } = await sql<{ exists: boolean }>`select to_regclass(${table}) is not null as exists`.execute(db)
  if (!found[0]?.exists) return new Map()
  const { rows } = await sql<{ name: string; timestamp: string }>`
    select name, timestamp from ${sql.table(table)}`.execute(db)
  // Those of one transaction have one time; their order is the one in which they ran.
  rows.sort((a, b) =>
    a.timestamp === b.timestamp ? byNumberThenName(a.name, b.name) : a.timestamp < b.timestamp ? -1 : 1,
  )
  return new Map(rows.map(({ name, timestamp }) => [name, timestamp]))
}

/** One migration of one ledger, loaded. */
interface Step {
  ledger: Ledger
  name: string
  migration: Migration
}

/**
 * Applies what is pending, the first ledger's first, and returns the names of what this process applied.
 * Two branches may each bring a migration: the one that is merged later runs although a newer one did already.
 * @throws BootError when one fails; then none of them was applied
 */
export async function migrateUp(db: Db, ledgers: Ledger[]): Promise<string[]> {
  const steps: Step[] = []
  for (const ledger of ledgers) {
    const pending = (await migrationStates(db, [ledger])).filter(isPending)
    for (const { name } of pending) steps.push({ ledger, name, migration: await ledger.load(name) })
  }
  if (steps.length === 0) return []

  return underLock(db, async (tx) => {
    const done: string[] = []
    for (const ledger of ledgers) await createLedger(tx, ledger.name)
    for (const step of steps) {
      const { ledger, name, migration } = step
      // Another process may have applied it while this one waited for the lock.
      if ((await appliedOf(tx, ledger.name)).has(name)) continue
      await attempt(step, () => migration.up(tx))
      await sql`insert into ${sql.table(tableOf(ledger.name))} (name, timestamp) values (${name}, now())`.execute(tx)
      done.push(name)
    }
    return done
  })
}

/** Takes back the newest migration of one ledger and returns its name, or undefined when there is none. */
export async function migrateDown(db: Db, ledger: Ledger): Promise<string | undefined> {
  return underLock(db, async (tx) => {
    const name = [...(await appliedOf(tx, ledger.name)).keys()].at(-1)
    if (name === undefined) return undefined
    if (!ledger.names.includes(name)) {
      throw new BootError(
        `The migration that was applied last, ${name}, is not in this version of the code, so how to take it back is not ` +
          `known. Restore its file from version control, or take it back with the version that has it.`,
      )
    }
    const migration = await ledger.load(name)
    const { down } = migration
    if (!down) throw new BootError(`The migration ${ledger.place(name)} exports no function "down", so it stays.`)
    await attempt({ ledger, name, migration }, () => down(tx))
    await sql`delete from ${sql.table(tableOf(ledger.name))} where name = ${name}`.execute(tx)
    return name
  })
}

/** Runs `work` in a transaction while no other process migrates; the lock ends with the transaction. */
function underLock<T>(db: Db, work: (tx: Db) => Promise<T>): Promise<T> {
  return db.transaction().execute(async (tx) => {
    await sql`select pg_advisory_xact_lock(${sql.lit(lock)})`.execute(tx)
    return work(tx)
  })
}

async function createLedger(tx: Db, ledger: LedgerName): Promise<void> {
  const { rows } = await sql`select where to_regnamespace(${schema}) is null`.execute(tx)
  // Asked first: `if not exists` wants the right to create one even where there is one.
  if (rows.length > 0) await sql`create schema ${sql.ref(schema)}`.execute(tx)
  await sql`
    create table if not exists ${sql.table(tableOf(ledger))} (
      name      text primary key,
      timestamp timestamptz not null
    )`.execute(tx)
}

async function attempt({ ledger, name }: Step, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (cause) {
    const statement = statementOf(cause)
    throw new BootError(
      `The migration ${ledger.place(name)} failed, and the database is as it was: ${(cause as Error).message}` +
        (statement ? `\nin: ${statement.trim()}` : ""),
      { cause },
    )
  }
}
