import { writeFileSync } from "node:fs"
import { Session } from "node:inspector/promises"

const s = new Session()
s.connect()
await s.post("Profiler.enable")
await s.post("Profiler.setSamplingInterval", { interval: 200 })
process.on("message", async (m) => {
  if (m === "pstart") await s.post("Profiler.start")
  if (m === "pstop") {
    const { profile } = await s.post("Profiler.stop")
    writeFileSync("/tmp/prof.json", JSON.stringify(profile))
    process.send!({ done: 1 })
  }
})
await import("./trestle.ts")
