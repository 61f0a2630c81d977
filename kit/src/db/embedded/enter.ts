/** The way into a database: it runs afterwards, and this process owns it or is its guest. */
import { setTimeout as pause } from "node:timers/promises"
import { BootError } from "../../core/errors.ts"
import { type BringUpOptions, bringDown, bringUp, type Running } from "./bring-up.ts"
import {
  becomeGuest,
  closeSession,
  type Holder,
  isLast,
  openSession,
  type Session,
  takeOwnership,
} from "./ownership.ts"
import type { Place } from "./place.ts"
import type { Postmaster } from "./postmaster.ts"
import { isRunning } from "./processes.ts"
import { withStartLock } from "./start-lock.ts"

/** A running database, the session that holds our lock in it, and which lock that is. */
export interface Entered {
  running: Running
  session: Session
  isOwner: boolean
}

/** What {@link enter} takes. */
export interface EnterOptions extends BringUpOptions {
  purpose: string
  /** True: be content to be a guest when another process owns the database. */
  asGuest: boolean
}

/** Another process owns the database and will keep it. */
export class OwnedByAnotherError extends BootError {}

/** A command is over in a moment: a server waits for it. */
const commandLimitMs = 10_000
/** A database that is just stopping refuses connections; one that refuses for longer needs a person. */
const answerLimitMs = 30_000

/**
 * Brings the database up and takes the ownership, or (`asGuest`) joins.
 * @throws OwnedByAnotherError when another server has it, or a command for more than 10 s
 */
export async function enter(place: Place, options: EnterOptions): Promise<Entered> {
  const begin = performance.now()
  for (;;) {
    const waitedMs = performance.now() - begin
    const outcome = await withStartLock(place.folder, options.log, options.signal, () => attempt(place, options))
    if ("session" in outcome) return outcome
    if ("holder" in outcome) {
      // A holder that was killed still has the lock for the moment until its connection is noticed to be closed.
      const goesSoon = outcome.holder.purpose !== "server" || !isRunning(outcome.holder.pid)
      if (!goesSoon || waitedMs > commandLimitMs) throw ownedBy(outcome.holder, place)
    } else if (waitedMs > answerLimitMs) throw noAnswer(outcome, place)
    await pause(20, undefined, { signal: options.signal })
  }
}

type Outcome = Entered | { holder: Holder } | { running: Postmaster; failure: Error }

async function attempt(place: Place, options: EnterOptions): Promise<Outcome> {
  const running = await bringUp(place, options)
  let session: Session | undefined
  try {
    session = await openSession(running, options.purpose)
    const holder = await takeOwnership(session)
    if (holder && !options.asGuest) {
      await closeSession(session)
      return { holder }
    }
    if (holder) await becomeGuest(session)
    else if (options.socketFolder && options.socketFolder !== running.socketFolder) {
      // Somebody started it elsewhere while we were away, and all our pools know the old place.
      await bringDown(place, running, options.log)
      return { running, failure: new Error("it listens in another folder than before") }
    } else if (running.adopted) options.log("info", `Took over the running database (process ${running.pid}).`)
    return { running, session, isOwner: !holder }
  } catch (failure) {
    if (session) await closeSession(session)
    return { running, failure: failure as Error }
  }
}

/** Leaves the database; the last to leave stops it. `always` does not mind guests: a server takes its database along. */
export async function leave(place: Place, entered: Entered, options: EnterOptions, always: boolean): Promise<void> {
  const { running, session, isOwner } = entered
  if (always && isOwner) {
    await bringDown(place, running, options.log)
    return closeSession(session)
  }
  await withStartLock(place.folder, options.log, undefined, async () => {
    const isLastHere = await isLast(session).catch(() => false) // the database has gone: nothing to stop
    if (isLastHere) await bringDown(place, running, options.log)
    await closeSession(session)
  })
}

function ownedBy(holder: Holder, place: Place): OwnedByAnotherError {
  const who = holder.purpose === "server" ? "a server" : `"${holder.purpose}"`
  return new OwnedByAnotherError(
    `The database in ${place.folder} is in use by ${who} (process ${holder.pid}), and only one may own it. ` +
      `Stop that one first, or give this one a database of its own with DATABASE_URL.`,
  )
}

function noAnswer({ running, failure }: { running: Postmaster; failure: Error }, place: Place): BootError {
  return new BootError(
    `PostgreSQL (process ${running.pid}) runs on ${place.folder}, but does not answer: ${failure.message}. ` +
      `Stop it with "kill -INT ${running.pid}" and start again.`,
    { cause: failure },
  )
}
