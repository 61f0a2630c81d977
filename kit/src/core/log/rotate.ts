/** Renames a full file of the log: server.log → server.log.1 → server.log.2 …, the oldest goes. */
import { closeSync, openSync, renameSync, rmSync, type Stats, statSync } from "node:fs"

/** Renaming takes less than a millisecond, so an older lock belongs to a process that was killed at it. */
const staleAfterMs = 10_000

/**
 * Renames the file at the path if it is still `full`. Of several processes one does it, and none waits for it.
 * @returns whether the path now names another file than `full`, or none
 */
export function rotate(path: string, backups: number, full: Stats): boolean {
  const lock = `${path}.lock`
  if (!take(lock)) return false
  try {
    const now = statSync(path, { throwIfNoEntry: false })
    if (!now || now.ino !== full.ino || now.dev !== full.dev) return true
    if (backups === 0) rmSync(path, { force: true })
    else {
      for (let number = backups - 1; number >= 1; number--) moveIfThere(`${path}.${number}`, `${path}.${number + 1}`)
      moveIfThere(path, `${path}.1`)
    }
    return true
  } finally {
    rmSync(lock, { force: true })
  }
}

function take(lock: string): boolean {
  try {
    closeSync(openSync(lock, "wx", 0o640))
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error
    const age = Date.now() - (statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now())
    if (age > staleAfterMs) rmSync(lock, { force: true })
    return false
  }
}

function moveIfThere(from: string, to: string): void {
  try {
    renameSync(from, to)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error
  }
}
