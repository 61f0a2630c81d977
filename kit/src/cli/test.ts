/**
 * `trestle test [FILES]`: Node's test runner, with one PostgreSQL for all tests. Folders stand for their `*.test.ts`; flags are
 * those of Node.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { chmodSync, existsSync, mkdtempSync, rmSync, statSync } from "node:fs"
import { getCompileCacheDir } from "node:module"
import { availableParallelism, tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { openTestServer, roomInMemory, testServerVariable } from "../db/test-database.ts"
import type { Arguments } from "./command.ts"
import { findProject } from "./project.ts"
import { withGroups } from "./test-groups.ts"

/**
 * Of two flags of one name Node takes the later, the caller's. One file more than there are cores, since some wait. A test that
 * hangs fails after these milliseconds.
 */
const defaults = [`--test-concurrency=${availableParallelism() + 1}`, "--test-timeout=120000"]

export async function test({ words }: Arguments): Promise<void> {
  const { folder } = findProject()
  const named = words.some((word) => !word.startsWith("-")) ? words : [...words, "test"]
  // A fork that deleted the example's tests has no folder for them: git keeps none that is empty.
  const wanted = named.filter((word) => word !== "test" || existsSync(join(folder, "test")))
  if (wanted.length < named.length) process.stderr.write("There is no folder test/ yet, so none of its tests.\n")
  if (wanted.every((word) => word.startsWith("-"))) return
  const server = await openTestServer()
  const scratch = mkdtempSync(join(roomInMemory() ? "/dev/shm" : tmpdir(), "trestle-tests-"))
  // As /tmp: tests of root's run programs as other users.
  chmodSync(scratch, 0o1777)
  // Node puts a folder for its version into the one that it is given.
  const compileCache = getCompileCacheDir()
  try {
    const runner = spawn(
      process.execPath,
      ["--test", ...defaults, ...withGroups(wanted.map(filesOf), folder, scratch)],
      {
        cwd: folder,
        stdio: "inherit",
        env: {
          ...process.env,
          // What tests and the servers that they killed leave behind goes with the run.
          TMPDIR: scratch,
          [testServerVariable]: JSON.stringify(server.address),
          // Each test file is a process: they share what was compiled.
          NODE_COMPILE_CACHE: compileCache ? dirname(compileCache) : "",
        },
      },
    )
    // A terminal sends Ctrl-C to the runner too; this process only has to outlive it.
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => runner.kill(signal))
    const [code] = (await once(runner, "exit")) as [number | null]
    process.exitCode = code ?? 1
  } finally {
    rmSync(scratch, { recursive: true, force: true })
    await server.stop()
  }
}

const filesOf = (word: string): string =>
  statSync(word, { throwIfNoEntry: false })?.isDirectory() ? `${word}/**/*.test.{ts,js}` : word
