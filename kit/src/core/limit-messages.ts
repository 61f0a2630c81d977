/**
 * What the processes of a server and their supervisor say to each other so that limits hold over all of them.
 *
 * Each process has a share of a limit, which it admits without asking; the supervisor keeps the rest. A client that has used
 * up the share makes the process ask for more. What the supervisor no longer has it recalls from the other processes.
 *
 * Windows are the same in all processes: they are numbered from a moment on the system's monotonic clock. Counts are said in
 * full, never as a difference, so that each message says all that its sender knows.
 */

/** What a message is about: a client, in a window of a limit. */
interface Place {
  limit: string
  /** Which window, counted from `windowsFrom`. */
  window: number
  client: string
}

/** From a process to the supervisor. */
export type LimitQuestion =
  /** A limit that routes have. Another rate makes another limit, as when a process has newer settings. */
  | { about: "limit"; limit: string; max: number; windowMs: number }
  /** The answer to "share": from this moment on, on the clock of `monotonicNow`. Windows that had begun stay as they were. */
  | { about: "share"; processes: number; from: number }
  /** A client has used up what this process may admit. Asked twice with the same `id`, it wants an answer at once. */
  | ({ about: "more"; used: number; waiting: number; id: number } & Place)
  /** The answer to "recall": so many were admitted, and no more will be without asking. */
  | ({ about: "returned"; used: number } & Place)
  /** A process that ends by itself gives back all that it did not use. */
  | { about: "unused"; unused: Unused[] }
  | { about: "several"; questions: LimitQuestion[] }

/** What a process has used in the window of a limit. */
export interface Unused {
  limit: string
  window: number
  /** How many were admitted of each client; none of all others. */
  used: Record<string, number>
}

/** From the supervisor to a process. */
export type LimitAnswer =
  /** The process may admit `upTo` in all; others are known to have admitted `others`. With the id of the question, if any. */
  | ({ about: "granted"; upTo: number; others: number; id: number } & Place)
  /** No more, until the window ends or more is granted. */
  | ({ about: "denied" } & Place)
  /** Another process needs what is left of a client's limit. */
  | ({ about: "recall" } & Place)
  /** In windows that begin from now on the process has the share of one of so many; none with 0. */
  | { about: "share"; processes: number }
  | { about: "several"; answers: LimitAnswer[] }

/** How a process reaches its supervisor. */
export interface LimitChannel {
  /** When window 0 of all limits began, on the clock of `monotonicNow`. */
  windowsFrom: number
  /** Sends it. May return a promise that settles when it is on its way: a server that closes waits for that of "unused". */
  ask(question: LimitQuestion): void | Promise<void>
  /** What came before anybody listened is told first. */
  onAnswer(listener: (answer: LimitAnswer) => void): void
  /** The supervisor has ended. */
  onLost(listener: () => void): void
}

/**
 * What a process may admit of a client without asking. Half of a limit stays with the supervisor: what a process had when it
 * was killed is lost until the window ends, and however many are killed, nobody is refused below half of a limit for that.
 */
export const shareOf = (max: number, processes: number): number =>
  processes > 0 ? Math.floor(max / (2 * processes)) : 0

/** So long a message keeps the supervisor from others, if these are to take a hundredth of its time: it costs some 5 µs. */
const msEach = 0.5
/** Who asks may wait for an answer, and that for a recall: four rests, and a question is asked again after half a second. */
const mostMs = 35

/** For how many milliseconds messages wait for each other, after so many were said at a time. */
export const restAfter = (messages: number, leastMs: number): number =>
  Math.min(Math.max(messages * msEach, leastMs), mostMs)

/** Milliseconds on a clock that all processes of a machine share, and nobody sets. */
export const monotonicNow = (): number => Number(process.hrtime.bigint()) / 1e6
