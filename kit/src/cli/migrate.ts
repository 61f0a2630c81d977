/** `trestle migrate up|down|status|new`: the migrations of the project's database. */
import { mkdir, writeFile } from "node:fs/promises"
import { join, relative } from "node:path"
import { BootError } from "../core/errors.ts"
import type { Db } from "../db/database.ts"
import { isPending, type Ledger, ledgersOf, migrateDown, migrateUp, migrationStates } from "../db/migrations.ts"
import { type Arguments, withDatabase } from "./command.ts"
import { findProject, loadApp } from "./project.ts"

export function up(): Promise<void> {
  return withLedgers(async (db, ledgers) => {
    const done = await migrateUp(db, ledgers)
    print(done.length ? `Applied: ${done.join(", ")}` : "Nothing is pending.")
  })
}

export function down({ flags }: Arguments): Promise<void> {
  return withLedgers(async (db, ledgers) => {
    const wanted = flags.kit ? "kit" : "app"
    const taken = await migrateDown(db, ledgers.find((ledger) => ledger.name === wanted)!)
    print(taken ? `Took back: ${taken}` : "There is nothing to take back.")
  })
}

export function status(): Promise<void> {
  return withLedgers(async (db, ledgers) => {
    for (const state of await migrationStates(db, ledgers)) {
      const when = isPending(state) ? "pending" : `applied ${state.applied}`
      print(`${state.ledger.padEnd(4)} ${state.name.padEnd(30)} ${when}${state.known ? "" : " (not in this version)"}`)
    }
  })
}

export async function create({ words: [name = ""] }: Arguments): Promise<void> {
  if (!/^[a-z][a-z0-9_-]*$/.test(name)) {
    throw new BootError(
      "Give the migration a name of lower-case letters, digits and underscores: trestle migrate new actors",
    )
  }
  const app = await loadApp(findProject())
  const own = (await ledgersOf(app.folder)).find((ledger) => ledger.name === "app")!
  const last = own.names.reduce((most, one) => Math.max(most, Number.parseInt(one, 10)), 0)
  const file = join(app.folder, "migrations", `${String(last + 1).padStart(3, "0")}_${name}.ts`)
  await mkdir(join(app.folder, "migrations"), { recursive: true })
  await writeFile(file, template, { flag: "wx" })
  print(relative(process.cwd(), file))
}

function withLedgers(work: (db: Db, ledgers: Ledger[]) => Promise<void>): Promise<void> {
  return withDatabase("migrate", async ({ db, app }) => work(db, await ledgersOf(app.folder)))
}

/** It fails until it is written: one that did nothing would count as applied, and never run again. */
const template = `import { type Db, sql } from "trestle"

export async function up(db: Db) {
  await sql\`
    \`.execute(db)
  throw new Error("Write this migration first, then remove this line.")
}

export async function down(db: Db) {
  await sql\`
    \`.execute(db)
  throw new Error("Write the way back first, then remove this line.")
}
`

const print = (line: string) => void process.stdout.write(`${line}\n`)
