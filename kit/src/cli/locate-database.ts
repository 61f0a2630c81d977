/**
 * Finds the database of a project: the server that DATABASE_URL names, or the embedded one. The supervisor does no more with it, so
 * nothing here imports what queries take: Kysely and pg would be a third of the time and memory that its process begins with.
 */
import type { Config } from "../core/config/index.ts"
import type { Log } from "../core/log.ts"
import type { DatabaseAddress } from "../db/database.ts"
import type { Embedded } from "../db/embedded/embedded.ts"
import type { Project } from "./project.ts"

/** Where the database of a project is, as long as it is needed. */
export interface Located {
  address: DatabaseAddress
  /** The embedded database, when DATABASE_URL is not set. */
  embedded: Embedded | undefined
  stop(): Promise<void>
}

/** What {@link ownDatabase} must know of the settings. */
export type OwnSettings = Pick<Config["database"], "url" | "pool_size">

/**
 * Finds the database for a server, which becomes the only owner of an embedded one.
 * @param onLost called when another process became its owner, and this one has none any more
 */
export async function ownDatabase(
  project: Project,
  { url, pool_size }: OwnSettings,
  log: Log,
  onLost: () => void,
): Promise<Located> {
  if (url) return located(url)
  const lost = (reason: Error) => {
    log.error(`${reason.message} Stopping.`)
    onLost()
  }
  const maxConnections = Math.max(embeddedConnections, pool_size + spareConnections)
  const folder = project.databaseFolder
  const { openEmbedded } = await import("../db/embedded/embedded.ts")
  return locatedAt(await openEmbedded({ folder, maxConnections, log: toLog(log), onLost: lost }))
}

/** What the embedded database admits at least: a pool of each process, commands and psql beside them. */
const embeddedConnections = 50
const spareConnections = 20

/** Finds the database for a command, whether a server is running or not. */
export async function joinDatabase(project: Project, config: Config, log: Log, purpose: string): Promise<Located> {
  if (config.database.url) return located(config.database.url)
  const { joinEmbedded } = await import("../db/embedded/embedded.ts")
  return locatedAt(await joinEmbedded({ folder: project.databaseFolder, log: toLog(log), purpose }))
}

const located = (url: string): Located => ({ address: { url }, embedded: undefined, stop: async () => {} })

const locatedAt = (embedded: Embedded): Located => ({
  address: embedded.connection,
  embedded,
  stop: () => embedded.stop(),
})

function toLog(log: Log) {
  const own = log.for("postgres")
  return (level: "info" | "warn" | "error", message: string) => own[level](message)
}
