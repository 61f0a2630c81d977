/** What a static file costs, beside node:http alone: as a stream, the usual way, and from memory, the floor. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { compare, printHead, printRow, request, startSubject, type Workload } from "./measure.ts"

export async function statics(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "trestle-bench-"))
  try {
    mkdirSync(join(folder, "static"))
    for (const [name, size] of Object.entries({ small: 1000, middle: 100_000, large: 4_000_000 })) {
      writeFileSync(join(folder, `static/${name}.css`), "a".repeat(size))
    }
    const env = { BENCH_FOLDER: folder }
    const subjects = [
      await startSubject("stream", "./servers/stream.ts", env),
      await startSubject("memory", "./servers/memory.ts", env),
      await startSubject("trestle", "./servers/static.ts", env),
    ]
    const names = subjects.map(({ name }) => name)
    const workloads: Workload[] = [
      { name: "1 kB", requests: request("GET /small.css"), count: 20_000 },
      { name: "100 kB", requests: request("GET /middle.css"), count: 10_000 },
      { name: "4 MB, which is streamed", requests: request("GET /large.css"), count: 200, connections: 8 },
    ]
    printHead(names, "trestle")
    for (const workload of workloads) printRow(workload.name, await compare(subjects, workload), names, "trestle")
    for (const subject of subjects) subject.stop()
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
