/** The database of a project, opened as the settings say. Which one it is: locate-database.ts. */
import type { Config } from "../core/config/index.ts"
import type { Log } from "../core/log.ts"
import { type Database, type DatabaseAddress, type DatabaseSettings, openDatabase } from "../db/database.ts"

/** The `database` section as the pool takes it. */
export function databaseSettings(config: Config): DatabaseSettings {
  const { database, logging } = config
  return {
    poolSize: database.pool_size,
    connectTimeoutMs: database.connect_timeout,
    statementTimeoutMs: database.statement_timeout,
    idleInTransactionTimeoutMs: database.idle_in_transaction_timeout,
    preparedStatements: database.prepared_statements,
    logSql: logging.sql,
  }
}

/** One connection for a command or for migrations, which may take as long as they need. */
export function openForCommand(address: DatabaseAddress, config: Config, log: Log): Database {
  const settings = databaseSettings(config)
  const patient = { poolSize: 1, statementTimeoutMs: 0, idleInTransactionTimeoutMs: 0, preparedStatements: false }
  return openDatabase(address, { ...settings, ...patient }, log)
}
