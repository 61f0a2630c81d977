/**
 * Keeps connections spread over the processes: the kernel gives new ones to whoever happens to wake first, and one that was
 * replaced begins with none (64 connections were seen as 1 and 63).
 */
import type { WorkerProcess } from "./worker-process.ts"

/** More than this share above the mean, and one more, is too many: below it a correction would cost more than it brings. */
const tolerance = 1.125

/** How many connections each process that answers should give away; 0 where it may accept. */
export function excess(counts: number[]): number[] {
  const mean = Math.ceil(counts.reduce((sum, count) => sum + count, 0) / counts.length)
  return counts.map((count) => (count > mean * tolerance + 1 ? count - mean : 0))
}

/** Tells the processes that have too many, and those that had. */
export function balance(workers: WorkerProcess[]): void {
  const over = excess(workers.map(({ connections }) => connections))
  for (const [i, worker] of workers.entries()) {
    if (over[i] === 0 && !worker.isPaused) continue
    // Told again as long as it has too many: a connection on which nothing is asked cannot be given away.
    worker.isPaused = true
    worker.send({ type: "shed", connections: over[i]! })
  }
}
