/**
 * `trestle start`: the server, in production. This process only supervises: `web-worker` is what answers requests, `job-worker` what
 * runs background jobs. `trestle worker` is the same for a machine that only runs jobs.
 */
import { BootError } from "../core/errors.ts"
import { openLog } from "../core/log/open.ts"
import { urlOf } from "../core/server-url.ts"
import { Supervisor } from "../supervisor/supervisor.ts"
import { BootFailure } from "../supervisor/worker-process.ts"
import { ownDatabase } from "./locate-database.ts"
import { findProject } from "./project.ts"
import { sampleCurl } from "./sample-curl.ts"

/** The exit code of a server whose processes ended before they were ready, again and again. */
const cannotBegin = 3

export async function start(kinds: readonly ("web" | "job")[]): Promise<void> {
  const project = findProject()
  const supervisor = new Supervisor({
    folder: project.folder,
    kinds,
    openLog: ({ logging, app }) => openLog(logging, { folder: project.folder, name: app }),
    async openDatabase({ database, processes }, log, onLost) {
      // A pool for each process, and beside it the connections on which it listens and asks.
      if (!kinds.includes("web") && !database.url) {
        throw new BootError(
          "trestle worker runs the jobs of a server on another machine, so it needs their DATABASE_URL. " +
            "On the server's own machine workers.jobs says how many processes run them.",
        )
      }
      if (!kinds.includes("web") && processes.job === 0) {
        throw new BootError("workers.jobs is 0, so there is nothing to run here: trestle worker needs 1 at least.")
      }
      const count = kinds.reduce((sum, kind) => sum + processes[kind], 0)
      const pools = { url: database.url, pool_size: (database.pool_size + 2) * count }
      const { address, embedded, stop } = await ownDatabase(project, pools, log, onLost)
      return { address, location: embedded?.location, stop }
    },
    urlOf: ({ server }, { port, isTls }) => urlOf(server.host, port, isTls),
    announce({ app, server, sample }, place, location) {
      if (!place) {
        process.stdout.write(`\n  ${app} runs its background jobs here\n\n`)
        return
      }
      const { port, isTls, trust } = place
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
