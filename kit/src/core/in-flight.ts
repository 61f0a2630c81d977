/** The requests in flight, for whoever looks at a process from outside, as its watchdog does while the event loop stands still. */

/** A request in flight, as the log shows it. */
export interface InFlight {
  id: string
  method: string
  route: string
  /** The id of whoever asked; undefined for a visitor. */
  user: string | undefined
  /** Since when, in milliseconds. */
  ms: number
}

/** Where the list is found from another thread, which reaches the global object of this one and nothing else. */
const place = Symbol.for("trestle.inFlight")

/** Lets the watchdog read the list, as JSON. */
export function showInFlight(list: () => InFlight[]): void {
  ;(globalThis as { [place]?: () => string })[place] = () => JSON.stringify(list())
}
