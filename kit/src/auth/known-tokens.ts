/**
 * Who holds a token, remembered by this process for as long as every change is heard of: a logout, a new role or a disabled
 * account counts everywhere within a second. While changes are not heard, nothing that is remembered is used.
 */
import type { Listener } from "../db/changes.ts"

/** What is remembered of a token. */
export interface Known {
  /** What changes it, as `announce` says it: `user 5f0c…`, `session 91d2…`. */
  changedBy: readonly string[]
  /** When it ends by itself, in milliseconds since 1970. */
  expires: number
}

/** How many are remembered; beyond it the oldest is forgotten. */
const rememberedAtMost = 10_000

export class KnownTokens<Entry extends Known> implements Listener {
  private readonly isCurrent: () => boolean
  private readonly entries = new Map<string, Entry>()
  /** Counts changes, so that what was read before one is not remembered after it. */
  private version = 0

  /** @param isCurrent whether all that was changed until a second ago has been told */
  constructor(isCurrent: () => boolean) {
    this.isCurrent = isCurrent
  }

  /** What is known of a token without asking anybody. */
  get(token: string): Entry | undefined {
    if (!this.isCurrent()) return undefined
    const entry = this.entries.get(token)
    return entry && Date.now() < entry.expires ? entry : undefined
  }

  /** Asks, and remembers the answer unless something changed meanwhile. */
  async load(token: string, ask: () => Promise<Entry | undefined>): Promise<Entry | undefined> {
    const { version } = this
    const entry = await ask()
    if (entry && version === this.version && Date.now() < entry.expires) {
      if (this.entries.size >= rememberedAtMost) this.entries.delete(this.entries.keys().next().value!)
      this.entries.set(token, entry)
    }
    return entry
  }

  forget(token: string): void {
    this.version++
    this.entries.delete(token)
  }

  changed(what: string): void {
    this.version++
    for (const [token, { changedBy }] of this.entries) if (changedBy.includes(what)) this.entries.delete(token)
  }

  reset(): void {
    this.version++
    this.entries.clear()
  }
}
