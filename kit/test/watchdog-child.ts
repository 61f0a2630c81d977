/**
 * A process with a watchdog, for its tests. Its first argument says what it does, the second for how long it may stand
 * still, the third is the file of the watchdog; the report goes to its descriptor 3.
 */
import { execSync } from "node:child_process"
import { writeSync } from "node:fs"
import inspector from "node:inspector"
import { Socket } from "node:net"
import { join } from "node:path"
import { setTimeout as pause, setImmediate as turn } from "node:timers/promises"
import findMyWay from "find-my-way"
import { showInFlight } from "../src/core/in-flight.ts"
import { currentScope, runIn, type Scope } from "../src/core/scope.ts"

const [, , act = "", limit = "", file = ""] = process.argv
const blockTimeoutMs = Number(limit)
const { startWatchdog } = (await import(file)) as typeof import("../src/supervisor/watchdog.ts")
const report = process.env.NO_REPORT ? undefined : 3
const watchdog = startWatchdog({ blockTimeoutMs, folder: join(import.meta.dirname, "../.."), report })

const say = (text: string) => void writeSync(1, `${text}\n`)

function spin(): never {
  for (;;); // spins
}

function spinFor(ms: number): void {
  const end = performance.now() + ms
  while (performance.now() < end);
}

function deep(left: number): number {
  return left === 0 ? spin() : deep(left - 1) + 1
}

/** Two requests wait, and a third is worked for. */
function showThree(): Scope {
  const scopes = ["one", "two", "three"].map((id) => ({ id, abortReason: undefined, onAbort() {}, offAbort() {} }))
  showInFlight(() => {
    const list = scopes.toSorted((a, b) => Number(b === currentScope()) - Number(a === currentScope()))
    return list.map(({ id }) => ({ id, method: "GET", route: "/movies/:id", user: undefined, ms: 7 }))
  })
  return scopes[2]!
}

const acts: Record<string, () => unknown> = {
  loop: spin,
  regexp: () => /^(a+)+$/.test(`${"a".repeat(40)}!`), // tests
  microtasks: async () => {
    for (;;) await undefined // awaits
  },
  requests: () => runIn(showThree(), spin),
  "many requests": () => {
    showInFlight(() =>
      Array.from({ length: 5000 }, (_, n) => ({ id: `${n}`, method: "GET", route: "/", user: "u", ms: 1 })),
    )
    spin()
  },
  "a list without end": () => {
    showInFlight(spin)
    spin()
  },
  package: () => {
    const router = findMyWay()
    router.on("GET", "/", spin)
    router.lookup({ method: "GET", url: "/" } as never, {} as never) // looks up
  },
  deep: () => deep(5000),
  "another program": () => execSync("sleep 30"),
  "full pipe": () => {
    // As many programs do with what they inherit: now a write that finds no room fails.
    new Socket({ fd: 3 })
    try {
      for (;;) writeSync(3, `${"x".repeat(1023)}\n`)
    } catch (error) {
      say((error as NodeJS.ErrnoException).code!)
    }
    spin()
  },
  "busy, with pauses": async () => {
    for (let passed = 0; passed < 2 * blockTimeoutMs; passed += blockTimeoutMs / 8) {
      spinFor(blockTimeoutMs / 8)
      await turn()
    }
    say("done")
  },
  stopped: async () => {
    let last = performance.now()
    say("ready")
    // Until the test has stopped it for longer than it may stand still, and then for as long again.
    for (let passed = 0; passed < 2 * blockTimeoutMs; ) {
      await pause(20)
      const now = performance.now()
      passed = now - last
      last = now
    }
    await pause(2 * blockTimeoutMs)
    say("done")
  },
  debugged: () => {
    inspector.open(0)
    setTimeout(() => {
      spinFor(2 * blockTimeoutMs)
      inspector.close()
      say("done")
    }, blockTimeoutMs)
  },
  "not watched any more": async () => {
    await watchdog.stop()
    spinFor(2 * blockTimeoutMs)
    say("done")
  },
  nothing: () => say("done"),
}

// In a turn of its own, as a request comes: before, the process has heard of nothing.
setImmediate(acts[act]!)
