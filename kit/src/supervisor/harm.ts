/** Ends processes that do harm: that say nothing any more, or take more memory than there is for them. */
import type { Config } from "../core/config/index.ts"
import type { Log } from "../core/log.ts"
import { megabytes } from "./place.ts"
import type { WorkerProcess } from "./worker-process.ts"

/** So long beyond its limit a process may say nothing: its own watchdog takes a while on a machine that has much to do. */
const silenceBeyondMs = 10_000
/** One that was stopped from outside has no watchdog that could. */
const haltBeyondMs = 500

/** @param passedMs how long ago it was looked at the last time, in milliseconds that the supervisor itself was awake */
export function killHarmful(worker: WorkerProcess, passedMs: number, limits: Config["workers"], log: Log): void {
  if (worker.state === "starting") return
  worker.silentMs += passedMs
  const { block_timeout, hard_memory = Infinity } = limits
  const { memory } = worker.vitals
  const isSilent =
    worker.silentMs > block_timeout + silenceBeyondMs ||
    (worker.silentMs > block_timeout + haltBeyondMs && worker.isHalted)
  if (isSilent) {
    log.error(`HARAKIRI: ${worker.name} (pid ${worker.pid}) says nothing any more and is killed.`)
    worker.kill("it said nothing any more")
  } else if (memory > hard_memory) {
    worker.kill(`it used ${megabytes(memory)}, more than workers.hard_memory`)
  }
}
