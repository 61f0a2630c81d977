/** How a process begins, step by step, each within its time: others wait for their turn. */
import type { DatabaseAddress } from "../db/database.ts"
import type { Settings, ToWorker } from "./messages.ts"
import type { Kind } from "./place.ts"
import type { SocketHandle } from "./sockets.ts"
import type { User } from "./user.ts"
import type { WorkerProcess } from "./worker-process.ts"

/** How long the first process may take until it has read what its limit is. */
const readWithinMs = 60_000

/** What the processes run with; the same for all of a generation. */
export interface Surroundings {
  address: DatabaseAddress
  handles: SocketHandle[]
  /** When the windows of limits are counted from, on the clock of `process.hrtime`, in milliseconds. */
  windowsFrom: number
}

export interface BootOptions {
  kind: Kind
  /** As the process before it read them; undefined for the very first one. */
  former: Settings | undefined
  /** Whom it was started as, and whom it should be. */
  user: User | undefined
  userOf(settings: Settings): Promise<User | undefined>
  surroundings(settings: Settings): Promise<Surroundings>
  /** Asked when the database is known. */
  migrations(): Extract<ToWorker, { type: "begin" }>["migrations"]
  /** Called before it may ask for anything. */
  begins(worker: WorkerProcess): void
}

/** A process read in the settings that it should be another user's. */
export class WrongUser extends Error {
  readonly settings: Settings

  constructor(settings: Settings) {
    super("It should run as another user.")
    this.settings = settings
  }
}

/**
 * Brings a process that was started to where it does its work; returns the settings that it has read.
 * @throws BootFailure when it ends before; WrongUser when it has to be started again
 */
export async function bootProcess(worker: WorkerProcess, options: BootOptions): Promise<Settings> {
  const { kind, former, user, userOf, surroundings, migrations, begins } = options
  const settings = await inTime(worker, worker.settings, former?.workers.boot_timeout ?? readWithinMs)
  if ((await userOf(settings))?.uid !== user?.uid) throw new WrongUser(settings)
  const { address, handles, windowsFrom } = await surroundings(settings)
  begins(worker)
  worker.send({ type: "begin", address, migrations: migrations(), windowsFrom })
  // They take as long as they take.
  await worker.migrated
  const { boot_timeout } = settings.workers
  if (kind === "web") {
    await inTime(worker, worker.prepared, boot_timeout)
    worker.listen(handles)
  }
  await inTime(worker, worker.ready, boot_timeout)
  return settings
}

/** Waits for a step, and kills the process that takes too long for it. */
async function inTime<T>(worker: WorkerProcess, step: Promise<T>, limitMs: number): Promise<T> {
  const why = `it did not begin within ${limitMs / 1000} s (workers.boot_timeout)`
  const late = setTimeout(() => worker.kill(why), limitMs)
  try {
    return await step
  } finally {
    clearTimeout(late)
  }
}
