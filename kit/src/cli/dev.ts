/**
 * `trestle dev`: the server, in development. This process keeps the database; a child runs the server under `node --watch`
 * and is started again when a file that it loaded changes.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import type { DatabaseAddress } from "../db/database.ts"
import { ownDatabase } from "./database.ts"
import { findProject, loadApp } from "./project.ts"
import { configOf, prepareDatabase, sampleCurl, serve, serverLog, stopOnSignal } from "./server.ts"

/** Internal: tells the child where the database is, without putting it where `ps` shows it. */
const addressVariable = "TRESTLE_DEV_DATABASE"

export async function dev(): Promise<void> {
  const project = findProject()
  const app = await loadApp(project)
  const config = configOf(project, app, "development")
  await using opened = serverLog(project, app, config)
  const { log } = opened
  const stop = stopOnSignal(log)

  const located = await ownDatabase(project, config, log, stop.ask)
  try {
    const main = fileURLToPath(new URL(import.meta.url.endsWith(".ts") ? "./main.ts" : "./main.js", import.meta.url))
    const child = spawn(process.execPath, ["--watch", "--watch-preserve-output", main, "dev-server"], {
      cwd: project.folder,
      stdio: "inherit",
      env: { ...process.env, [addressVariable]: JSON.stringify(located.address) },
    })
    const ended = once(child, "exit")
    await Promise.race([stop.asked, ended])
    child.kill("SIGTERM")
    await ended
  } finally {
    await located.stop()
  }
}

/** The child of {@link dev}: the server itself, begun anew at each change. */
export async function devServer(): Promise<void> {
  const project = findProject()
  const app = await loadApp(project)
  const config = configOf(project, app, "development")
  await using opened = serverLog(project, app, config)
  const { log } = opened
  const stop = stopOnSignal(log)
  const address = JSON.parse(process.env[addressVariable] ?? "null") as DatabaseAddress

  await prepareDatabase(address, { app, config, log, apply: true })
  const running = await serve(address, { project, app, config, log, mode: "development" })
  log.info(`Development at ${running.url}. Try: ${sampleCurl(running, app)}`)
  await stop.asked
  await running.stop()
}
