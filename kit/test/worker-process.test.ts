// @together
/** A process of the supervisor, where the machine has nothing left to start one with. */
import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { join } from "node:path"
import { test } from "node:test"
import { promisify } from "node:util"

const run = promisify(execFile)
const child = join(import.meta.dirname, "worker-process-child.ts")

test("without a file descriptor left a process is not started, says why, and ends nobody else", async () => {
  // Node takes as many as it may; the limit of a shell holds for what it starts.
  const { stdout } = await run("sh", ["-c", 'ulimit -n 64; exec "$0" "$1"', process.execPath, child])
  assert.match(stdout, /^not ready: spawn \S+ EMFILE\nended: could not start\nstill here\n$/)
})
