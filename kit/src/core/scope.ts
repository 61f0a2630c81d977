/**
 * What is known of the request (later: the job) that the running code works for, reachable without passing it along.
 * The database layer asks it whether the work is still wanted, so that handlers do nothing for cancelling.
 */
import { AsyncLocalStorage } from "node:async_hooks"

/** Work that can be called off: a request whose client hung up, or which took too long. */
export interface Scope {
  /** Why the work was called off; undefined while it is wanted. */
  readonly abortReason: Error | undefined
  /** Calls `listener` once when the work is called off. */
  onAbort(listener: (reason: Error) => void): void
  offAbort(listener: (reason: Error) => void): void
}

const storage = new AsyncLocalStorage<Scope | undefined>()

/** Runs `work`, and all that it starts, for this scope. */
export const runIn = <T>(scope: Scope | undefined, work: () => T): T => storage.run(scope, work)

/** The scope that the running code works for, if there is one. */
export const currentScope = (): Scope | undefined => storage.getStore()
