/** What commands share: their arguments, and the database of the project while they need it. */
import type { App } from "../app.ts"
import type { Config } from "../core/config/index.ts"
import { BootError } from "../core/errors.ts"
import { Log } from "../core/log.ts"
import type { Database, Db } from "../db/database.ts"
import { isPending, ledgersOf, migrateUp, migrationStates } from "../db/migrations.ts"
import { cannotUse, isRefused } from "../db/server-check.ts"
import { openForCommand } from "./database.ts"
import { joinDatabase, type Located } from "./locate-database.ts"
import { findProject, loadApp } from "./project.ts"
import { configOf } from "./project-config.ts"

/** What follows a command: words, and flags by name. */
export interface Arguments {
  words: string[]
  flags: Record<string, string | boolean | undefined>
}

export interface CommandContext {
  db: Db
  database: Database
  app: App
  config: Config
  /** Of trouble; what a command prints is its answer. */
  log: Log
  located: Located
}

/** Runs `work` with the database of the project, whether its server is running or not. */
export async function withDatabase(purpose: string, work: (context: CommandContext) => Promise<void>): Promise<void> {
  const project = findProject()
  const app = await loadApp(project)
  const config = configOf(project, app, "production")
  const log = new Log("warn", purpose, (line) => void process.stderr.write(line))
  const located = await joinDatabase(project, config, log, purpose)
  try {
    const database = openForCommand(located.address, config, log)
    try {
      await work({ db: database.db, database, app, config, log, located })
    } catch (error) {
      throw isRefused(error) ? cannotUse(database.pool, error) : error
    } finally {
      await database.close()
    }
  } finally {
    await located.stop()
  }
}

/** The same for what needs the kit's tables: on a database that was never started the migrations come first. */
export function withTables(purpose: string, work: (context: CommandContext) => Promise<void>): Promise<void> {
  return withDatabase(purpose, async (context) => {
    const { db, app, config } = context
    const ledgers = await ledgersOf(app.folder)
    const kit = ledgers.filter((ledger) => ledger.name === "kit")
    if ((await migrationStates(db, kit)).some(isPending)) {
      if (config.database.url) throw new BootError("The database lacks migrations. Apply them: npx trestle migrate up")
      await migrateUp(db, ledgers)
    }
    await work(context)
  })
}
