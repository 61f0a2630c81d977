/** Servers that answer commands, for the tests of the control socket. */
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { TestContext } from "node:test"
import { Log } from "../src/core/log.ts"
import { type Control, type ControlOptions, openControl } from "../src/supervisor/control.ts"
import type { Status } from "../src/supervisor/status.ts"
import { later } from "./embedded/scratch.ts"

/** What the server of a test says of itself. */
export const status: Status = {
  pid: process.pid,
  app: "movies",
  url: "http://localhost:8000",
  started: "2026-01-01T00:00:00.000Z",
  state: "running",
  generation: 1,
  processes: [],
}
export const handlers = { status: () => status, reload: async () => {} }
/** What a command is told where no server runs. */
export const nobody = { name: "BootError", message: "No server is running here. Start it: npx trestle start" }
/** Far beyond what the slowest machine needs. */
export const patienceMs = 60_000

/** A data folder that is not there yet. */
export async function dataFolder(t: TestContext, ...below: string[]): Promise<string> {
  const top = await mkdtemp(join(tmpdir(), "trestle-test-"))
  later(t, () => rm(top, { recursive: true, force: true }))
  return join(top, ...below, "data")
}

/** What is logged, and how to log it. */
export function listenToLog() {
  const lines: string[] = []
  return { lines, log: new Log("debug", "test", (line) => void lines.push(line)) }
}

/** Begins to answer commands, until the end of the test. */
export async function open(t: TestContext, folder: string, more: Partial<ControlOptions> = {}): Promise<Control> {
  const control = await openControl({ folder, handlers, log: listenToLog().log, ...more })
  later(t, () => control.close())
  return control
}

/** What `supervisor.json` says. */
export const addressIn = async (folder: string): Promise<{ pid: number; socket: string }> =>
  JSON.parse(await readFile(join(folder, "supervisor.json"), "utf8"))
