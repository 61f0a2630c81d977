/** `npm run chaos [NAMES] [--short]`: does to a server what a bad day does, and says which promises it keeps. */
import { availableParallelism, loadavg } from "node:os"
import { balance } from "./balance.ts"
import { caps } from "./caps.ts"
import type { Finding, Trial } from "./findings.ts"
import { idempotency } from "./idempotency.ts"
import { jobs } from "./jobs.ts"
import { kills } from "./kills.ts"
import { limits } from "./limits.ts"
import { logs } from "./logs.ts"
import { recycling } from "./recycling.ts"
import { refusals } from "./refusals.ts"
import { reloads } from "./reloads.ts"
import { services } from "./services.ts"
import { makeProject } from "./site.ts"
import { stops } from "./stops.ts"
import { watchdog } from "./watchdog.ts"

const trials: Record<string, Trial> = {
  reloads,
  kills,
  caps,
  recycling,
  refusals,
  stops,
  services,
  idempotency,
  jobs,
  limits,
  balance,
  watchdog,
  logs,
}

const words = process.argv.slice(2)
const isShort = words.includes("--short")
const wanted = words.filter((word) => word !== "--short")
const unknown = wanted.filter((name) => !trials[name])
if (unknown.length > 0) {
  console.error(`There is no ${unknown.join(", ")}. There are: ${Object.keys(trials).join(", ")}; and --short`)
  process.exit(2)
}

const project = await makeProject()
let isInterrupted = false
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, async () => {
    if (isInterrupted) return
    isInterrupted = true
    console.log("Stopping what was started.")
    await project[Symbol.asyncDispose]()
    process.exit(1)
  })
}

const verdicts = { kept: 0, broken: 0, "not shown here": 0 }
function tell(finding: Finding): void {
  if (isInterrupted) return
  const verdict = "notShown" in finding ? "not shown here" : finding.isKept ? "kept" : "broken"
  verdicts[verdict]++
  const sign = { kept: "✓", broken: "✗", "not shown here": "–" }[verdict]
  const figure = "notShown" in finding ? finding.notShown : finding.figure
  console.log(`${sign} ${finding.promise}\n    ${figure}\n    ${verdict}`)
}

const busy = loadavg()[0]!
if (busy > availableParallelism()) {
  console.log(
    `This machine is busy (a load of ${busy.toFixed(0)}): what is said of times below is worse than it would be.`,
  )
}

try {
  for (const name of wanted.length > 0 ? wanted : Object.keys(trials)) {
    const began = performance.now()
    console.log(`\n# ${name}`)
    try {
      for await (const finding of trials[name]!({ project, isShort })) tell(finding)
    } catch (error) {
      if (isInterrupted) break
      tell({ promise: `${name} can be shown`, figure: (error as Error).stack ?? String(error), isKept: false })
    }
    console.log(`  (${Math.round((performance.now() - began) / 1000)} s)`)
  }
} finally {
  if (!isInterrupted) await project[Symbol.asyncDispose]()
}
if (!isInterrupted) {
  const told = Object.entries(verdicts).map(([verdict, count]) => `${count} ${verdict}`)
  console.log(`\n${told.join(", ")}`)
  if (verdicts.broken > 0) process.exitCode = 1
}
