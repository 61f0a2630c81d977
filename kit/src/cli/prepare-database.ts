/** What is done to a database before a server works with it. */
import type { App } from "../app.ts"
import { jobsOf } from "../capabilities.ts"
import type { Config } from "../core/config/index.ts"
import { BootError } from "../core/errors.ts"
import type { Log } from "../core/log.ts"
import type { DatabaseAddress } from "../db/database.ts"
import { isPending, isUnknown, ledgersOf, migrateUp, migrationStates } from "../db/migrations.ts"
import { checkServer } from "../db/server-check.ts"
import { declareJobs } from "../jobs/boss.ts"
import { openForCommand } from "./database.ts"

/** Applies pending migrations where that is ours to do, and otherwise refuses to run with them. */
export async function prepareDatabase(
  address: DatabaseAddress,
  { app, config, log, apply, processes }: { app: App; config: Config; log: Log; apply: boolean; processes: number },
): Promise<void> {
  const database = openForCommand(address, config, log)
  try {
    await checkServer(database.pool, processes, config.database.pool_size, log)
    const ledgers = await ledgersOf(app.folder)
    const states = await migrationStates(database.db, ledgers)
    const unknown = states.filter(isUnknown).map((state) => state.name)
    if (unknown.length > 0) {
      log.warn(
        `The database has newer migrations than this version: ${unknown.join(", ")}. It runs with them as they are.`,
      )
    }
    const pending = states.filter(isPending).map((state) => state.name)
    if (pending.length > 0) {
      if (!apply) {
        throw new BootError(
          `The database lacks the migrations ${pending.join(", ")}. Apply them: npx trestle migrate up`,
        )
      }
      const done = await migrateUp(database.db, ledgers)
      log.info(`Migrated: ${done.join(", ")}`)
    }
    await declareJobs(database, jobsOf(app), log)
  } finally {
    await database.close()
  }
}
