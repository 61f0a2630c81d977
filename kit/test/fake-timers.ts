/**
 * Timers on a clock of the test's. Those of node:test lose their order when the callback of an interval calls `setImmediate`
 * (seen in Node 24.21), and remember each call.
 */
import type { TestContext } from "node:test"

interface Timer {
  at: number
  everyMs: number | undefined
  callback: () => void
  unref(): Timer
}

const replaced = ["setTimeout", "setInterval", "setImmediate", "clearTimeout", "clearInterval"] as const

/** Replaces the global timers until the test ends. What is returned calls all that is due. */
export function fakeTimers(t: TestContext, now: () => number): () => void {
  // In the order in which they were set.
  const timers = new Set<Timer>()
  const add = (callback: () => void, ms: number, everyMs?: number): Timer => {
    const timer: Timer = { at: now() + ms, everyMs, callback, unref: () => timer }
    timers.add(timer)
    return timer
  }
  const remove = (timer: unknown) => void timers.delete(timer as Timer)
  const originals = Object.fromEntries(replaced.map((name) => [name, globalThis[name]]))
  Object.assign(globalThis, {
    setTimeout: (callback: () => void, ms = 1) => add(callback, Math.max(ms, 1)),
    setInterval: (callback: () => void, ms: number) => add(callback, ms, ms),
    setImmediate: (callback: () => void) => add(callback, 0),
    clearTimeout: remove,
    clearInterval: remove,
  })
  t.after(() => void Object.assign(globalThis, originals))

  return () => {
    for (;;) {
      const due = [...timers].filter(({ at }) => at <= now()).sort((a, b) => a.at - b.at)
      if (due.length === 0) return
      for (const timer of due) {
        // Another one may have removed it.
        if (!timers.has(timer)) continue
        if (timer.everyMs === undefined) timers.delete(timer)
        else timer.at = now() + timer.everyMs
        timer.callback()
      }
    }
  }
}
