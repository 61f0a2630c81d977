/** `trestle start`: the server, in production. This process only supervises; `web-worker` is what answers requests. */
import { BootError } from "../core/errors.ts"
import { openLog } from "../core/log/open.ts"
import { Supervisor } from "../supervisor/supervisor.ts"
import { BootFailure } from "../supervisor/worker-process.ts"
import { ownDatabase } from "./database.ts"
import { findProject } from "./project.ts"
import { sampleCurl, urlOf } from "./server.ts"

/** The exit code of a server whose processes ended before they were ready, again and again. */
const cannotBegin = 3

export async function start(): Promise<void> {
  const project = findProject()
  const supervisor = new Supervisor({
    folder: project.folder,
    openLog: ({ logging, app }) => openLog(logging, { folder: project.folder, name: app }),
    async openDatabase({ database, processes }, log, onLost) {
      // A pool for each process, and beside it the connections on which it listens and asks.
      const pools = { url: database.url, pool_size: (database.pool_size + 2) * processes }
      const { address, embedded, stop } = await ownDatabase(project, pools, log, onLost)
      return { address, location: embedded?.location, stop }
    },
    urlOf: ({ server }, { port, isTls }) => urlOf(server.host, port, isTls),
    announce({ app, server, sample }, { port, isTls, trust }, location) {
      const url = urlOf(server.host, port, isTls)
      process.stdout.write(
        `\n  ${app} is at ${url}\n` +
          `  Its data is in ${location ?? "the database of DATABASE_URL"}\n` +
          `  Try: ${sampleCurl(url, trust, sample)}\n\n`,
      )
    },
  })
  try {
    await supervisor.run()
  } catch (error) {
    if (!(error instanceof BootFailure)) throw error
    if (error.isFinal) throw new BootError(error.message, { cause: error })
    process.stderr.write(`${error.message}\n`)
    process.exitCode = cannotBegin
  }
}
