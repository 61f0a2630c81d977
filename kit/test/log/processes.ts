/** Processes that log, and what they wrote. */
import { type ChildProcessByStdio, type SpawnOptions, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Readable, Writable } from "node:stream"
import type { TestContext } from "node:test"

/** A folder that goes with the test. */
export function scratch(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "trestle-log-"))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

type Child = ChildProcessByStdio<Writable, Readable, Readable>

/** Starts one of the scripts beside this file. */
export function start(t: TestContext, script: "writer" | "server", task: object, options: SpawnOptions = {}): Child {
  const file = join(import.meta.dirname, `${script}.ts`)
  const child = spawn(process.execPath, [file, JSON.stringify(task)], { ...options, stdio: "pipe" }) as Child
  t.after(() => child.kill("SIGKILL"))
  return child
}

/** Runs a writer to its end. */
export async function write(
  t: TestContext,
  task: object,
): Promise<{ code: number | null; out: string; errors: string }> {
  const child = start(t, "writer", task)
  const [out, errors, [code]] = await Promise.all([textOf(child.stdout), textOf(child.stderr), once(child, "close")])
  return { code: code as number | null, out, errors }
}

export async function textOf(stream: Readable): Promise<string> {
  let text = ""
  for await (const chunk of stream.setEncoding("utf8")) text += chunk
  return text
}

/** Settles with the text so far once it has what is awaited. */
export function untilSaid(stream: Readable, awaited: string | RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ""
    const look = (chunk: Buffer | string) => {
      text += chunk
      if (!text.match(awaited)) return
      stream.off("data", look)
      resolve(text)
    }
    stream.on("data", look)
    stream.once("end", () => reject(new Error(`It ended without ${awaited}:\n${text}`)))
  })
}

/** The lines of the log's file and its backups, oldest first. */
export function linesOf(folder: string, name = "server.log"): string[] {
  const age = (file: string) => Number(file.slice(name.length + 1) || 0)
  const files = readdirSync(folder).filter((file) => file === name || /\.\d+$/.test(file))
  files.sort((a, b) => age(b) - age(a))
  const text = files.map((file) => readFileSync(join(folder, file), "utf8")).join("")
  return text.split("\n").slice(0, -1)
}

/** A server that logs to its standard output and to `logs/server.log` in a folder of its own. */
export async function startServer(t: TestContext, env: Record<string, string> = {}) {
  const folder = scratch(t)
  const child = start(t, "server", { env: { RATE_LIMIT_ENABLED: "false", ...env }, folder })
  let out = ""
  child.stdout.setEncoding("utf8").on("data", (chunk) => (out += chunk))
  const url = /ready (\S+)/.exec(await untilSaid(child.stderr, /ready \S+\n/))![1]!
  return {
    url,
    port: Number(new URL(url).port),
    child,
    /** Settles once the standard output has a line like that. */
    said: (awaited: RegExp) => (awaited.test(out) ? out : untilSaid(child.stdout, awaited)),
    /** Stops it in order, and returns all that it logged. */
    async stop(): Promise<{ file: string; out: string }> {
      child.stdin.end()
      await once(child, "close")
      return { file: `${linesOf(join(folder, "logs")).join("\n")}\n`, out }
    },
  }
}
