/** How long a start takes, to the first answer: cold (no data yet) and warm, in a copy of the project. */
import { spawn } from "node:child_process"
import { cpSync, existsSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"

const root = join(import.meta.dirname, "..")
const warmRounds = 5

export async function start(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "trestle-bench-"))
  for (const part of ["app", "package.json", "config.json"])
    cpSync(join(root, part), join(folder, part), { recursive: true })
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"))
  symlinkSync(join(root, "kit"), join(folder, "kit"))
  try {
    console.log(`cold  ${await oneStart(folder)}`)
    for (let i = 0; i < warmRounds; i++) console.log(`warm  ${await oneStart(folder)}`)
  } finally {
    const data = join(folder, "data", "postgres")
    if (existsSync(data)) rmSync(realpathSync(data), { recursive: true, force: true })
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Starts the server, waits for its first 200, stops it, and returns what it said of its parts. */
async function oneStart(folder: string): Promise<string> {
  const began = performance.now()
  const child = spawn(process.execPath, [join(root, "kit/bin/trestle.js"), "start"], {
    cwd: folder,
    env: { ...process.env, LOGGING_LEVEL: "debug", PORT: "0" },
    stdio: ["ignore", "pipe", "inherit"],
  })
  let parts: string | undefined
  let total = 0
  for await (const line of createInterface({ input: child.stdout })) {
    parts ??= /Since the process began: (.*)/.exec(line)?.[1]
    const url = / is at (http:\S+)/.exec(line)?.[1]
    if (!url) continue
    await fetch(`${url}/api/health`)
    total = Math.round(performance.now() - began)
    // It ends, and with it what it says.
    child.kill("SIGTERM")
  }
  if (!total || !parts) throw new Error("The server did not say how it started.")
  return `${total} ms to the first 200 (${parts})`
}
