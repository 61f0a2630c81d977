/**
 * Those who wait for an item of a list, in this process. A list that gets its first item wakes one of them; whoever then takes
 * an item wakes the next, until the list is empty again. Nobody is handed an item: each takes it by itself, so that one
 * who was called off in that moment has taken nothing with it.
 */
import { currentScope } from "../core/scope.ts"
import type { Backend } from "./backend.ts"

/** Waiters look by themselves so often, in milliseconds: what tells them can be cut without a word. */
const lookEveryMs = 1000

/** How long the connection that tells outlives the last waiter, in milliseconds: whoever waits in a loop is back at once. */
const lingerMs = 5000

/** Somebody's wait. */
interface Waiter {
  wake(): void
  end(): void
}

export class Waiters {
  private readonly listen: Backend["listen"]
  private readonly byList = new Map<string, Set<Waiter>>()
  private stopListening: (() => void) | undefined
  private looking: NodeJS.Timeout | undefined
  private lingering: NodeJS.Timeout | undefined
  private isClosed = false

  constructor(listen: Backend["listen"]) {
    this.listen = listen
  }

  /**
   * Calls `take` until it gives something, whenever there may be something, for so many milliseconds.
   * @throws the reason when the work that waits is called off
   */
  async wait<T>(list: string, ms: number, take: () => Promise<T | undefined>): Promise<T | undefined> {
    if (this.isClosed) return undefined
    const scope = currentScope()
    // What came in since the caller last looked was told to nobody.
    let isWoken = true
    let isOver = false
    let proceed = () => {}
    const waiter: Waiter = {
      wake() {
        isWoken = true
        proceed()
      },
      end() {
        isOver = true
        proceed()
      },
    }
    const timer = setTimeout(waiter.end, ms).unref()
    scope?.onAbort(waiter.end)
    this.add(list, waiter)
    let found: T | undefined
    try {
      while (found === undefined && !isOver) {
        if (isWoken) {
          isWoken = false
          found = await take()
        } else {
          await new Promise<void>((resolve) => {
            proceed = resolve
          })
        }
      }
      if (found === undefined && scope?.abortReason) throw scope.abortReason
      return found
    } finally {
      clearTimeout(timer)
      scope?.offAbort(waiter.end)
      this.remove(list, waiter)
      // There may be more, or this one was woken for what it no longer wanted, or failed as the others will.
      this.wake(list)
    }
  }

  /** Ends all waits, now and from now on: they find nothing. */
  close(): void {
    this.isClosed = true
    for (const waiters of this.byList.values()) for (const { end } of waiters) end()
    this.quiet()
  }

  private add(list: string, waiter: Waiter): void {
    this.byList.set(list, (this.byList.get(list) ?? new Set()).add(waiter))
    clearTimeout(this.lingering)
    this.looking ??= setInterval(() => this.wake(), lookEveryMs).unref()
    this.stopListening ??= this.listen((list) => this.wake(list))
  }

  private remove(list: string, waiter: Waiter): void {
    const waiters = this.byList.get(list)
    waiters?.delete(waiter)
    if (waiters?.size === 0) this.byList.delete(list)
    if (this.byList.size > 0 || this.isClosed) return
    clearInterval(this.looking)
    this.looking = undefined
    this.lingering = setTimeout(() => this.quiet(), lingerMs).unref()
  }

  /** Wakes the one who has waited longest for the list; without a name, of each list. */
  private wake(list?: string): void {
    if (list === undefined) for (const name of this.byList.keys()) this.wake(name)
    else this.byList.get(list)?.values().next().value?.wake()
  }

  private quiet(): void {
    clearInterval(this.looking)
    clearTimeout(this.lingering)
    this.stopListening?.()
    this.stopListening = undefined
  }
}
