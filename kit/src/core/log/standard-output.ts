/**
 * Standard output. A pipe whose reader is slow fills up (EAGAIN): the rest waits, and the server goes on. A reader that
 * went away (EPIPE) is no reason to stop either.
 */
import { fstatSync, writeSync } from "node:fs"
import { setTimeout as pause } from "node:timers/promises"
import { Backlog } from "./backlog.ts"
import type { Target } from "./batch.ts"

/** How much may wait for a slow reader. */
const waitingAtMost = 16 * 1024 * 1024
const retryMs = 10
/** At the end a reader that reads nothing for so long is not waited for. */
const patienceMs = 3000
/** Up to this many bytes a write into a pipe is never mixed with those of other processes (PIPE_BUF of Linux). */
const pipeAtomic = 4096
const newline = 10

/** What says that nobody will ever read again, and not only that there is no room now. */
const goneCodes = new Set(["EPIPE", "ECONNRESET", "EIO", "EBADF", "ENXIO", "EDESTADDRREQ"])

export class StandardOutput implements Target {
  private readonly fd: number
  private readonly piece: number
  private readonly sayLost: (count: number) => Buffer
  private readonly waiting = new Backlog(waitingAtMost)
  private timer: NodeJS.Timeout | undefined
  private isGone = false

  /** `sayLost` makes the line that stands where lines are missing. */
  constructor(sayLost: (count: number) => Buffer, fd = 1) {
    this.fd = fd
    this.sayLost = sayLost
    this.piece = isFile(fd) ? Number.POSITIVE_INFINITY : pipeAtomic
  }

  write(lines: Buffer): void {
    if (this.isGone) return
    this.waiting.add(lines)
    if (!this.timer) this.advance()
  }

  finish(): void {
    let lastProgress = Date.now()
    while (this.waiting.first && Date.now() - lastProgress < patienceMs) {
      if (this.advance()) lastProgress = Date.now()
      else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, retryMs)
    }
    clearTimeout(this.timer)
  }

  async close(): Promise<void> {
    let lastProgress = Date.now()
    while (this.waiting.first && Date.now() - lastProgress < patienceMs) {
      if (this.advance()) lastProgress = Date.now()
      else await pause(retryMs)
    }
    clearTimeout(this.timer)
    this.timer = undefined
  }

  /** Writes what waits, until it is done or there is no room; says whether any was written. */
  private advance(): boolean {
    clearTimeout(this.timer)
    this.timer = undefined
    let hasWritten = false
    for (let lines = this.waiting.first; lines; lines = this.waiting.first) {
      const written = this.attempt(lines)
      if (written === 0) break
      hasWritten = true
      this.waiting.replaceFirst(lines.subarray(written))
      if (!this.waiting.first) this.tellLost()
    }
    if (this.waiting.first) this.timer = setTimeout(() => this.advance(), retryMs).unref()
    return hasWritten
  }

  private tellLost(): void {
    const lost = this.waiting.takeLost()
    if (lost > 0) this.waiting.add(this.sayLost(lost))
  }

  /** Writes as much as may go at once; 0 when there is no room. */
  private attempt(lines: Buffer): number {
    try {
      return writeSync(this.fd, lines, 0, pieceEnd(lines, this.piece))
    } catch (error) {
      if (goneCodes.has((error as NodeJS.ErrnoException).code ?? "")) {
        this.isGone = true
        this.waiting.clear()
      }
      return 0
    }
  }
}

/** The most whole lines that fit; a longer line goes alone. */
function pieceEnd(lines: Buffer, atMost: number): number {
  if (lines.length <= atMost) return lines.length
  const fitting = lines.lastIndexOf(newline, atMost - 1)
  return (fitting >= 0 ? fitting : lines.indexOf(newline)) + 1 || lines.length
}

function isFile(fd: number): boolean {
  try {
    return fstatSync(fd).isFile()
  } catch {
    return false
  }
}
