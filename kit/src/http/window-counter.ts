/** Counts what clients do in windows of time. */

/** How many counts are drawn to find the one to forget. */
const drawn = 8

/**
 * Counts by client in fixed windows: one map, emptied when the window ends. The first count after that opens the next window,
 * which all clients share. Around its end a client can thus have twice a limit in the time of one window; a sliding window
 * would cost more, and what is left of a limit would be hard to say.
 *
 * It holds `maxClients` at most. To make room for another, the smallest of eight counts drawn at random is forgotten: who comes
 * with millions of addresses pushes out those addresses, not the counts of others who asked much.
 */
export class WindowCounter {
  /** When the window ends, in milliseconds on the clock of `performance.now()`. */
  endsAt = 0
  private readonly windowMs: number
  private readonly maxClients: number
  private readonly counts = new Map<string, number>()
  /** The keys of the map, to draw from. */
  private readonly clients: string[] = []

  constructor(windowMs: number, maxClients: number) {
    this.windowMs = windowMs
    this.maxClients = maxClients
  }

  /** How many clients are counted. */
  get size(): number {
    return this.counts.size
  }

  /** Counts one, and returns how many the client has in this window. */
  count(client: string, now: number): number {
    if (now >= this.endsAt) {
      this.counts.clear()
      this.clients.length = 0
      this.endsAt = now + this.windowMs
    }
    const count = (this.counts.get(client) ?? 0) + 1
    if (count > 1) this.counts.set(client, count)
    else this.add(copyOf(client))
    return count
  }

  private add(client: string): void {
    const place = this.clients.length < this.maxClients ? this.clients.length : this.forgetOne()
    this.clients[place] = client
    this.counts.set(client, 1)
  }

  /** Returns the place that became free. */
  private forgetOne(): number {
    let place = 0
    let least = Number.POSITIVE_INFINITY
    for (let i = 0; i < drawn; i++) {
      const at = Math.floor(Math.random() * this.clients.length)
      const count = this.counts.get(this.clients[at]!)!
      if (count < least) [place, least] = [at, count]
    }
    this.counts.delete(this.clients[place]!)
    return place
  }
}

/** The same text in memory of its own: a slice of a header would keep the whole header alive. */
const copyOf = (text: string): string => Buffer.from(text, "latin1").toString("latin1")
