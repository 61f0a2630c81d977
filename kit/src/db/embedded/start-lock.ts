/**
 * One process at a time looks for, creates, starts or leaves the database of a folder. Node has no `flock`, and a lock file
 * with a process id in it cannot be taken over safely when its process died: two may judge it stale, and the slower one
 * deletes the file of the faster. Here each process has a file of its own under a name that never comes back, so deleting
 * the file of a dead process harms nobody: enter a file, list all, and go ahead only if no other living one is there
 * (Lamport's bakery: of two, at least the later sees the other). The lowest name waits with its file in place.
 */
import { randomUUID } from "node:crypto"
import { readdir, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import type { Log } from "./log.ts"
import { birthOf, isRunning } from "./processes.ts"

/** How often a waiting process says so. */
const reportMs = 5_000

/**
 * Runs `work` while no other process, and no other call in this one, does the same for `folder`.
 * Waits for as long as the other lives; `signal` ends the waiting, not the work.
 */
export async function withStartLock<T>(
  folder: string,
  log: Log,
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  const name = `starting-${process.pid}-${birthOf(process.pid)}-${randomUUID()}`
  const own = join(folder, name)
  let reportAt = performance.now() + reportMs
  const wait = async (others: string[]) => {
    if (performance.now() > reportAt) {
      reportAt = performance.now() + reportMs
      log("info", `Waiting for process ${others[0]?.split("-")[1]}, which is starting the database in ${folder}.`)
    }
    await pause(5 + Math.random() * 10, undefined, { signal })
    return livingOthers(folder, name)
  }
  try {
    for (;;) {
      await writeFile(own, "", { mode: 0o600 })
      let others = await livingOthers(folder, name)
      if (others.length === 0) return await work()
      if (others.every((other) => name < other)) await wait(others)
      else {
        // Two that both wait with their files in place would wait for ever: whoever sees a lower name steps back.
        await rm(own, { force: true })
        while (others.length > 0) others = await wait(others)
      }
    }
  } finally {
    await rm(own, { force: true })
  }
}

/** The files of other living processes; those of dead ones are removed on the way. */
async function livingOthers(folder: string, own: string): Promise<string[]> {
  const living: string[] = []
  for (const name of await readdir(folder)) {
    if (!name.startsWith("starting-") || name === own) continue
    const [, pid, birth] = name.split("-")
    const bornNow = birthOf(Number(pid))
    if (isRunning(Number(pid)) && (bornNow === birth || bornNow === "0")) living.push(name)
    else await rm(join(folder, name), { force: true })
  }
  return living
}
