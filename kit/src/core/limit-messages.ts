/** What the processes of a server and their supervisor say to each other so that limits hold over all of them. */

/** The unused rest of what a process was allowed to admit, by client, in one window of one limit. */
export interface Unused {
  limit: string
  /** Which window, counted from the supervisor's start. */
  window: number
  /** What each client that was counted has left; every other has the whole share of the process. */
  left: Record<string, number>
}

/** From a process to the supervisor. */
export type LimitQuestion =
  /** A limit that routes have: all processes say it, and the same. */
  | { about: "limit"; limit: string; max: number; windowMs: number }
  /** A client has used up the share of this process. */
  | { about: "more"; limit: string; window: number; client: string }
  /** The answer to "recall". */
  | { about: "returned"; limit: string; window: number; client: string; left: number }
  /** A process that ends by itself gives back what it did not use. */
  | { about: "unused"; unused: Unused[] }

/** From the supervisor to a process. */
export type LimitAnswer =
  /** So many more may be admitted in the window; 0: none, until it ends. */
  | { about: "granted"; limit: string; window: number; client: string; more: number }
  /** Give back what is left of a client's share: another process needs it. */
  | { about: "recall"; limit: string; window: number; client: string }
  /** From this window on the process has a share of its own: one of so many; 0 for one that is being replaced. */
  | { about: "share"; fromWindow: number; processes: number }
