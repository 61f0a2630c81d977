/** Watching a process costs its requests nothing that could be measured. */
import { fork } from "node:child_process"
import { once } from "node:events"
import type { Chaos, Finding } from "./findings.ts"

export async function* watchdog({ isShort }: Chaos): AsyncGenerator<Finding> {
  const promise = "the watchdog costs a request at most 5 % of its CPU"
  if (isShort) {
    yield { promise, notShown: "it needs half a minute; the form without --short shows it" }
    return
  }
  // In a process of its own, which binds itself and what it starts to one core each.
  const measuring = fork(new URL("./watchdog-costs.ts", import.meta.url), {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  })
  const ended = once(measuring, "exit").then(([code, signal]) => {
    throw new Error(`The measuring process ended with ${signal ?? code}`)
  })
  const [{ watched, unwatched }] = await Promise.race([once(measuring, "message"), ended])
  ended.catch(() => {})
  yield {
    promise,
    figure: `${watched.toFixed(1)} µs with it, ${unwatched.toFixed(1)} µs without: ${((watched / unwatched) * 100).toFixed(0)} %`,
    isKept: watched <= unwatched * 1.05,
  }
}
