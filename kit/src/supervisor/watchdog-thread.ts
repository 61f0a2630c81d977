/**
 * The thread that watchdog.ts starts: waits for the event loop of the main thread to stand still, asks the debugger where
 * it does, tells it, and kills the process. Of the kit's other files it imports types only: it starts fast and stays small.
 */
import { once } from "node:events"
import { write, writeSync } from "node:fs"
import type { Debugger } from "node:inspector"
import { Session } from "node:inspector/promises"
import { relative } from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { workerData } from "node:worker_threads"
import type { InFlight } from "../core/in-flight.ts"
import type { Blocked, Frame, ThreadData } from "./watchdog.ts"

const { beats, tickMs, blockTimeoutMs, folder, report } = workerData as ThreadData

/** Wherever JavaScript runs it answers; otherwise the main thread is outside, as in a program that it waits for. */
const answerWithinMs = 1000
/** Usually 20 ms; 5 s were seen where ten processes ran for each core: the debugger first looks for all code there is. */
const pauseWithinMs = 6000
const listWithinMs = 1000
/** So long a reader may take; then the process is killed without its last words. */
const readWithinMs = 1000
/** Together they fit into an empty pipe: a supervisor that stands still itself does not hold this thread. */
const framesAtMost = 30
const requestsAtMost = 100

const kitFolder = new URL("..", import.meta.url).href

watch()

/**
 * Counts silence in ticks of its own, each worth at most two: while the machine sleeps or all of the process is stopped,
 * as by SIGSTOP, this thread does not tick either.
 */
function watch(): void {
  let heard = Atomics.load(beats, 0)
  let silentMs = 0
  let lastTick = performance.now()
  const timer = setInterval(() => {
    const now = performance.now()
    const passedMs = Math.min(now - lastTick, 2 * tickMs)
    lastTick = now
    const beat = Atomics.load(beats, 0)
    silentMs = beat === heard && beat !== -1 ? silentMs + passedMs : 0
    heard = beat
    if (silentMs < blockTimeoutMs) return
    clearInterval(timer)
    void end(Math.round(silentMs))
  }, tickMs)
}

async function end(ms: number): Promise<void> {
  const blocked: Blocked = { ms, stack: [], requests: [] }
  try {
    const session = new Session()
    session.connectToMainThread()
    // The smallest question there is: answered in 300 ms where the pause took those 5 s.
    await within(answerWithinMs, session.post("Schema.getDomains"))
    blocked.stack = await within(pauseWithinMs, standingAt(session))
    blocked.requests = await within(listWithinMs, inFlight(session))
  } catch {
    // What could not be seen stays empty.
  }
  if (report !== undefined && wrote(report, `${JSON.stringify({ blocked })}\n`)) return kill()
  // From another thread: a terminal that was halted would hold this one in the call.
  write(2, readable(blocked), kill)
  setTimeout(kill, readWithinMs)
}

const kill = () => void process.kill(process.pid, "SIGKILL")

function within<T>(ms: number, work: Promise<T>): Promise<T> {
  return Promise.race([work, pause(ms).then(() => Promise.reject(new Error("too late")))])
}

/** Halts the main thread, wherever it is. */
async function standingAt(session: Session): Promise<Frame[]> {
  const urls = new Map<string, string>()
  session.on("Debugger.scriptParsed", ({ params }) => urls.set(params.scriptId, params.url))
  const paused = once(session, "Debugger.paused")
  await Promise.all([session.post("Debugger.enable"), session.post("Debugger.pause")])
  const [{ params }] = (await paused) as [{ params: Debugger.PausedEventDataType }]
  const frames = params.callFrames.map(({ functionName, location }) => {
    const { lineNumber, columnNumber = 0 } = location
    const place = placeOf(urls.get(location.scriptId) ?? "")
    return { ...place, function: functionName, line: lineNumber + 1, column: columnNumber + 1 }
  })
  const sorted = [...frames.filter(({ isOwn }) => isOwn), ...frames.filter(({ isOwn }) => !isOwn)]
  return sorted.slice(0, framesAtMost).map(({ isOwn, ...frame }) => frame)
}

/** How a file is named, and whether it is the application's own. */
function placeOf(url: string): { file: string; isOwn: boolean } {
  // Node's own, or code that was made while the program ran.
  if (!url.startsWith("file:")) return { file: url || "(eval)", isOwn: false }
  const path = fileURLToPath(url)
  const below = relative(folder, path)
  const file = below.startsWith("..") ? path : below
  return { file, isOwn: !url.startsWith(kitFolder) && !/(^|\/)node_modules\//.test(file) }
}

/**
 * Runs in the halted main thread. Not "evaluateOnCallFrame": that sees the variables of the frame, and in one of Node's
 * there is no `Symbol`. Its `timeout` does not end an endless loop (seen with Node 24); ours goes on without the answer.
 */
async function inFlight(session: Session): Promise<InFlight[]> {
  const expression = 'globalThis[Symbol.for("trestle.inFlight")]?.()'
  const { result } = await session.post("Runtime.evaluate", { expression, returnByValue: true })
  return (JSON.parse(result.value ?? "[]") as InFlight[]).slice(0, requestsAtMost)
}

/** Writes all of it, as long as there is somebody who reads. */
function wrote(fd: number, text: string): boolean {
  const deadline = performance.now() + readWithinMs
  let rest = Buffer.from(text)
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(fd, rest))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN" || performance.now() > deadline) return false
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)
    }
  }
  return true
}

function readable({ ms, stack, requests }: Blocked): string {
  const places = stack.map(({ function: name, file, line, column }) => `    at ${name} (${file}:${line}:${column})\n`)
  const head = `Process ${process.pid} stood still for ${(ms / 1000).toFixed(1)} s and is killed`
  const where = places.length > 0 ? `. It was\n${places.join("")}` : "; where it was cannot be seen.\n"
  // JSON, since ids come from outside and could hold control characters.
  return head + where + requests.map((request) => `    for ${JSON.stringify(request)}\n`).join("")
}
