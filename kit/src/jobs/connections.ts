/** The connections by which a process takes jobs and says how they ended. */
import type { Log } from "../core/log.ts"
import { type Database, type DatabaseAddress, type DatabaseSettings, openDatabase } from "../db/database.ts"

/** One to take, one to tell. */
export const ownConnections = 2

export function openJobConnections(address: DatabaseAddress, settings: DatabaseSettings, log: Log): Database {
  const database = openDatabase(address, { ...settings, poolSize: ownConnections }, log)
  database.pool.on("connect", (client) => {
    // What PostgreSQL knows of a queue is often from when that was empty. It would then read and sort all that waits, each time
    // that some is taken: 20 ms for 20,000, instead of 0.2.
    client
      .query("select set_config('enable_bitmapscan', 'off', false), set_config('enable_sort', 'off', false)")
      .catch(() => {})
  })
  return database
}
