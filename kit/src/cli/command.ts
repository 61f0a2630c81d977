/** What commands share: their arguments, and the database of the project while they need it. */
import type { App } from "../app.ts"
import type { Config } from "../core/config/index.ts"
import { Log } from "../core/log.ts"
import type { Db } from "../db/database.ts"
import { joinDatabase, type Located, openForCommand } from "./database.ts"
import { findProject, loadApp } from "./project.ts"
import { configOf } from "./server.ts"

/** What follows a command: words, and flags by name. */
export interface Arguments {
  words: string[]
  flags: Record<string, string | boolean | undefined>
}

export interface CommandContext {
  db: Db
  app: App
  config: Config
  located: Located
}

/** Runs `work` with the database of the project, whether its server is running or not. */
export async function withDatabase(purpose: string, work: (context: CommandContext) => Promise<void>): Promise<void> {
  const project = findProject()
  const app = await loadApp(project)
  const config = configOf(project, app, "production")
  // What a command prints is its answer; only trouble is logged besides.
  const log = new Log("warn", purpose, (line) => void process.stderr.write(line))
  const located = await joinDatabase(project, config, log, purpose)
  try {
    const database = openForCommand(located.address, config, log)
    try {
      await work({ db: database.db, app, config, located })
    } finally {
      await database.close()
    }
  } finally {
    await located.stop()
  }
}
