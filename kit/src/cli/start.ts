/** `trestle start`: the server, in production. */
import { ownDatabase } from "./database.ts"
import { findProject, loadApp } from "./project.ts"
import { configOf, prepareDatabase, sampleCurl, serve, serverLog, stopOnSignal } from "./server.ts"

export async function start(): Promise<void> {
  const laps: string[] = []
  const lap = (name: string) => laps.push(`${name} at ${Math.round(performance.now())} ms`)

  const project = findProject()
  lap("kit")
  const app = await loadApp(project)
  lap("application")
  const config = configOf(project, app, "production")
  lap("configuration")
  await using opened = serverLog(project, app, config)
  const { log } = opened
  const stop = stopOnSignal(log)

  const located = await ownDatabase(project, config.database, log, stop.ask)
  lap("database")
  try {
    if (stop.isAsked()) return
    // On the embedded database nobody else could; on a shared one, when to migrate is its owner's decision.
    await prepareDatabase(located.address, { app, config, log, apply: located.embedded !== undefined })
    lap("migrations")
    if (stop.isAsked()) return
    const running = await serve(located.address, { project, app, config, log, mode: "production" })
    lap("listening")
    log.debug(`Since the process began: ${laps.join(", ")}`)
    opened.flush()
    process.stdout.write(
      `\n  ${app.name ?? "The server"} is at ${running.url}\n` +
        `  Its data is in ${located.embedded?.location ?? "the database of DATABASE_URL"}\n` +
        `  Try: ${sampleCurl(running, app)}\n\n`,
    )
    await stop.asked
    await running.stop()
  } finally {
    await located.stop()
  }
}
