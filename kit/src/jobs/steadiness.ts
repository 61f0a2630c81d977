/**
 * Whether the database has been there for a while, by its own clock. After an outage, and when this process or the whole machine
 * stood still, all processes need time to say that their jobs run, before what was not said for long counts as lost.
 */
export class Steadiness {
  private readonly afterMs: number
  private since = 0
  private last = Number.NEGATIVE_INFINITY

  /** @param afterMs it must have been there for so long, and asked twice as often */
  constructor(afterMs: number) {
    this.afterMs = afterMs
  }

  /** It has answered, at this moment. */
  answered(now: number): void {
    if (now - this.last > this.afterMs / 2) this.since = now
    this.last = now
  }

  get isSteady(): boolean {
    return this.last - this.since > this.afterMs
  }
}
