/** What a process works on, for whoever looks at it from outside, as its watchdog does while the event loop stands still. */

/** A request or a job in flight, as the log shows it. */
export interface InFlight {
  id: string
  /** Of a job "job". */
  method: string
  /** Of a job its name. */
  route: string
  /** The id of whoever asked; null for a visitor, undefined for a job. */
  user: string | null | undefined
  /** Since when, in milliseconds. */
  ms: number
}

/** Where the list is found from another thread, which reaches the global object of this one and nothing else. */
const place = Symbol.for("trestle.inFlight")

const lists = new Map<string, () => InFlight[]>()

/** Lets the watchdog read the list, as JSON; one for each kind of work. */
export function showInFlight(list: () => InFlight[], kind: "requests" | "jobs" = "requests"): void {
  lists.set(kind, list)
  ;(globalThis as { [place]?: () => string })[place] = () =>
    JSON.stringify([...lists.values()].flatMap((list) => list()))
}
