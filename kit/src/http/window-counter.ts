/** Counts what clients do in windows of time. */
import { Busiest } from "../core/busiest.ts"

/** What a client has used of a limit. */
export interface Used {
  /** How many it has in the window, as far as is known; `Infinity` when it is over its limit. */
  count: number
  /** When the window ends, in milliseconds on the clock of `performance.now()`. */
  endsAt: number
}

/** Counts by client: in this process, over all processes of a machine, or in Redis. */
export interface Counter {
  /** When the window ends of what was counted at once. */
  readonly endsAt: number
  /** Counts one, and returns how many the client has in the window: at once, unless others must be asked. */
  count(client: string, now: number): number | Promise<Used>
}

/**
 * Counts in fixed windows: one map, emptied when the window ends. The first count after that opens the next window, which all
 * clients share. Around its end a client can thus have twice a limit in the time of one window; a sliding window would cost
 * more, and what is left of a limit would be hard to say.
 *
 * It holds `maxClients` at most, and forgets those who asked least.
 */
export class WindowCounter implements Counter {
  endsAt = 0
  private readonly windowMs: number
  private readonly counts: Busiest<number>

  constructor(windowMs: number, maxClients: number) {
    this.windowMs = windowMs
    this.counts = new Busiest(maxClients, (count) => count)
  }

  /** How many clients are counted. */
  get size(): number {
    return this.counts.size
  }

  count(client: string, now: number): number {
    if (now >= this.endsAt) {
      this.counts.clear()
      this.endsAt = now + this.windowMs
    }
    const count = (this.counts.get(client) ?? 0) + 1
    if (count > 1) this.counts.set(client, count)
    else this.counts.add(copyOf(client), count)
    return count
  }
}

/** The same text in memory of its own: a slice of a header would keep the whole header alive. */
export const copyOf = (text: string): string => Buffer.from(text, "latin1").toString("latin1")
