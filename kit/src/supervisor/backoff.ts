/** When a process that ended is started again, and when that has failed too often. */

const windowMs = 60_000
/** So many failed boots in a minute mean that another one would fail too. */
export const failuresAtMost = 5
const firstMs = 100
const longestMs = 10_000

export class Backoff {
  private failures: number[] = []

  /** Counts a failed boot, and says how long to wait before the next. */
  failed(now = Date.now()): number {
    this.failures = [...this.failures.filter((then) => now - then < windowMs), now]
    return Math.min(longestMs, firstMs * 2 ** (this.failures.length - 1))
  }

  /** Whether it failed so often that whoever waits should be told. */
  isHopeless(now = Date.now()): boolean {
    return this.failures.filter((then) => now - then < windowMs).length >= failuresAtMost
  }

  succeeded(): void {
    this.failures = []
  }
}
