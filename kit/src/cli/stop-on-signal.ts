/** The wish that a server stop, as signals bring it. */
import type { Log } from "../core/log.ts"

/** Someone's wish that the server stop. */
export interface Stop {
  /** Settles when it was asked. */
  asked: Promise<void>
  /** Whether it was asked, to begin nothing any more. */
  isAsked(): boolean
  /** Asks. */
  ask(): void
}

/** One wish often comes twice: to the whole group of processes, and passed on by npm or the launcher. */
const sameWishMs = 500

/** Listens for SIGINT, SIGTERM and SIGHUP: the first one asks, a later one ends the process at once. */
export function stopOnSignal(log: Log): Stop {
  const { promise: asked, resolve } = Promise.withResolvers<void>()
  let isAsked = false
  const ask = () => {
    isAsked = true
    resolve()
  }
  let first: number | undefined
  const onSignal = (signal: string) => {
    if (first === undefined) {
      first = performance.now()
      log.info(`Stopping (${signal}); a second time stops at once.`)
      ask()
    } else if (performance.now() - first > sameWishMs) process.exit(1)
  }
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, onSignal)
  return { asked, isAsked: () => isAsked, ask }
}
