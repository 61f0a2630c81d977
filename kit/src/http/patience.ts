/**
 * Notices what has waited for long. It looks a few times a second, and only as long as something waits: a timer for each would
 * cost more, and would count the time in which this process itself was busy and could not read an answer that was there.
 */

/** How often it is looked, in milliseconds. */
const lookEveryMs = 250

export class Patience<T> {
  private readonly onLook: (item: T, looks: number) => void
  private readonly waiting = new Map<T, number>()
  private timer: NodeJS.Timeout | undefined

  /** @param onLook is called at each look with all that wait, and at how many looks they did */
  constructor(onLook: (item: T, looks: number) => void) {
    this.onLook = onLook
  }

  add(item: T): void {
    this.waiting.set(item, 0)
    this.timer ??= setInterval(() => this.look(), lookEveryMs).unref()
  }

  /** Returns whether it still waited. */
  delete(item: T): boolean {
    return this.waiting.delete(item)
  }

  /** Those that wait, which do so no longer. */
  take(): T[] {
    const items = [...this.waiting.keys()]
    this.waiting.clear()
    return items
  }

  private look(): void {
    if (this.waiting.size === 0) {
      clearInterval(this.timer)
      this.timer = undefined
      return
    }
    for (const [item, looks] of [...this.waiting]) {
      if (!this.waiting.has(item)) continue
      this.waiting.set(item, looks + 1)
      this.onLook(item, looks + 1)
    }
  }
}
