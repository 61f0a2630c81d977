/**
 * The watchdog of a process: one request in an endless loop, or in a regular expression that never comes to an end, holds
 * all others of its process. Nothing in the event loop can notice that, so a thread does (watchdog-thread.ts): it says
 * which line the process stands at, and for which requests, and ends it. The supervisor starts another.
 */
import { realpathSync } from "node:fs"
import inspector from "node:inspector"
import { getCompileCacheDir } from "node:module"
import { dirname, extname } from "node:path"
import { Worker } from "node:worker_threads"
import type { InFlight } from "../core/in-flight.ts"

export interface WatchdogOptions {
  /** For how long the event loop may stand still, in milliseconds. While the whole process is stopped no time passes. */
  blockTimeoutMs: number
  /** The project's: files in it are named relative to it. */
  folder: string
  /** The descriptor that gets the report, as a line `{"blocked": Blocked}`; without it people read it on standard error. */
  report: number | undefined
}

/** What is known of a process that stood still. */
export interface Blocked {
  /** For how long, in milliseconds. */
  ms: number
  /** Where it stood: the application's own frames, then those of the kit, packages and Node. Empty if it cannot be seen. */
  stack: Frame[]
  /** In the order of the list that `showInFlight` was given, the first hundred. Empty if they cannot be seen. */
  requests: InFlight[]
}

/** A place in the code; lines and columns are counted from 1. */
export interface Frame {
  /** Empty when it has no name. */
  function: string
  file: string
  line: number
  column: number
}

/** What the thread begins with. */
export interface ThreadData extends WatchdogOptions {
  /** One number that changes as long as the event loop turns; -1 while a person debugs this process. */
  beats: Int32Array
  tickMs: number
}

/**
 * Limits, and no reservation. With 16 MB a stack of 6,000 frames ended the thread, and a source map of 30 MB inside a file
 * the process, both without a word.
 */
const memoryLimits = { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 2 }

/** Watches this process until it ends or `stop` is called, without keeping it alive. Not while it is debugged. */
export function startWatchdog({ blockTimeoutMs, folder, report }: WatchdogOptions): { stop(): Promise<void> } {
  if (inspector.url()) return { stop: async () => {} }
  const tickMs = Math.min(250, blockTimeoutMs / 8)
  const beats = new Int32Array(new SharedArrayBuffer(4))
  const beat = () => {
    // A debugger may come later too, by SIGUSR1.
    Atomics.store(beats, 0, inspector.url() ? -1 : (beats[0]! + 1) & 0x7fffffff)
  }
  const timer = setInterval(beat, tickMs).unref()

  const compileCache = getCompileCacheDir()
  // Code names its files by their real paths.
  const data: ThreadData = { blockTimeoutMs, folder: realpathSync(folder), report, beats, tickMs }
  // TypeScript in the repository, JavaScript in the published package.
  const thread = new Worker(new URL(`./watchdog-thread${extname(import.meta.filename)}`, import.meta.url), {
    name: "watchdog",
    workerData: data,
    resourceLimits: memoryLimits,
    // Nothing that was meant for the server: `--import` loads a tracing library into each thread too.
    execArgv: [],
    // Without the cache the thread loads a compiler of TypeScript of its own: 8 MB, and 45 ms.
    env: compileCache ? { NODE_COMPILE_CACHE: dirname(compileCache) } : {},
  })
  thread.unref()
  thread.on("error", (error) => {
    process.stderr.write(`The watchdog ended, and nothing watches this process any more: ${error.stack ?? error}\n`)
  })
  return {
    async stop() {
      clearInterval(timer)
      await thread.terminate()
    },
  }
}
