/** A map of so many at most, for what is counted by clients that anybody can be. */

/** How many entries are drawn to find the one to forget. */
const drawn = 8

/**
 * Keeps a value for each client, `max` of them at most. To make room for another, the smallest of eight drawn at random is
 * forgotten: who comes with millions of addresses pushes out those addresses, not the others who asked much.
 */
export class Busiest<T> {
  private readonly max: number
  private readonly countOf: (value: T) => number
  private readonly values = new Map<string, T>()
  /** The keys of the map, to draw from. */
  private readonly clients: string[] = []

  /** @param countOf how much a client asked, as its value tells */
  constructor(max: number, countOf: (value: T) => number) {
    this.max = max
    this.countOf = countOf
  }

  get size(): number {
    return this.values.size
  }

  get(client: string): T | undefined {
    return this.values.get(client)
  }

  /** Replaces the value of a client that is there. */
  set(client: string, value: T): void {
    this.values.set(client, value)
  }

  /** Keeps a client that is not there yet. The text should be in memory of its own, or all that it is a slice of stays. */
  add(client: string, value: T): void {
    const place = this.clients.length < this.max ? this.clients.length : this.forgetOne()
    this.clients[place] = client
    this.values.set(client, value)
  }

  clear(): void {
    this.values.clear()
    this.clients.length = 0
  }

  [Symbol.iterator](): IterableIterator<[string, T]> {
    return this.values[Symbol.iterator]()
  }

  /** Returns the place that became free. */
  private forgetOne(): number {
    let place = 0
    let least = Number.POSITIVE_INFINITY
    for (let i = 0; i < drawn; i++) {
      const at = Math.floor(Math.random() * this.clients.length)
      const count = this.countOf(this.values.get(this.clients[at]!)!)
      if (count < least) [place, least] = [at, count]
    }
    this.values.delete(this.clients[place]!)
    return place
  }
}
