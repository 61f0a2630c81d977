/** `trestle migrate up|down|status|new`: the migrations of the project's database. */
import { mkdir, writeFile } from "node:fs/promises"
import { join, relative } from "node:path"
import { BootError } from "../core/errors.ts"
import type { Db } from "../db/database.ts"
import { isPending, type Ledger, ledgersOf, migrateDown, migrateUp, migrationStates } from "../db/migrations.ts"
import { type Arguments, withDatabase } from "./command.ts"
import { findProject, loadApp } from "./project.ts"

export const migrateUsage = `trestle migrate up            applies the pending migrations
trestle migrate down          takes back the newest of the application's (--kit: of the kit's)
trestle migrate status        says which were applied, and when
trestle migrate new NAME      makes a file for the next one`

export async function migrate({ words: [action, name], flags }: Arguments): Promise<void> {
  switch (action) {
    case "up":
      return withLedgers(async (db, ledgers) => {
        const done = await migrateUp(db, ledgers)
        print(done.length ? `Applied: ${done.join(", ")}` : "Nothing is pending.")
      })
    case "down":
      return withLedgers(async (db, ledgers) => {
        const wanted = flags.kit ? "kit" : "app"
        const taken = await migrateDown(db, ledgers.find((ledger) => ledger.name === wanted)!)
        print(taken ? `Took back: ${taken}` : "There is nothing to take back.")
      })
    case "status":
      return withLedgers(async (db, ledgers) => {
        for (const state of await migrationStates(db, ledgers)) {
          const when = isPending(state) ? "pending" : `applied ${state.applied}`
          print(
            `${state.ledger.padEnd(4)} ${state.name.padEnd(30)} ${when}${state.known ? "" : " (not in this version)"}`,
          )
        }
      })
    case "new":
      return create(name)
    default:
      throw new BootError(`Say what to do:\n${migrateUsage}`)
  }
}

function withLedgers(work: (db: Db, ledgers: Ledger[]) => Promise<void>): Promise<void> {
  return withDatabase("migrate", async ({ db, app }) => work(db, await ledgersOf(app.folder)))
}

async function create(name: string | undefined): Promise<void> {
  if (!name || !/^[a-z][a-z0-9_-]*$/.test(name)) {
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

const template = `import { type Db, sql } from "trestle"

export async function up(db: Db) {
  await sql\`
    \`.execute(db)
}

export async function down(db: Db) {
  await sql\`
    \`.execute(db)
}
`

const print = (line: string) => void process.stdout.write(`${line}\n`)
