/**
 * Collects lines and hands them on many at once: a system call for each would cost more than the rest of the log. INFO
 * and DEBUG wait for 64 kB or 200 ms; WARNING and ERROR are written at once, and all that waited before them.
 */
import { isUrgent, type LogLevel } from "./levels.ts"

/** Where batches go: standard output, the file. */
export interface Target {
  /** Takes whole lines. What cannot be written now is kept; it never throws. */
  write(lines: Buffer): void
  /** Writes what was kept, as far as it goes without hanging, for the end of the process. */
  finish(): void
  /** Writes what was kept and closes. */
  close(): Promise<void>
}

const flushAtBytes = 64 * 1024
/** What a character takes at most in UTF-8, for each unit of its JavaScript string. */
const bytesPerUnit = 3
const flushAfterMs = 200

export class Batch {
  private readonly targets: Target[]
  private readonly lines = Buffer.allocUnsafeSlow(flushAtBytes)
  private length = 0
  private timer: NodeJS.Timeout | undefined
  private isClosed = false

  constructor(targets: Target[]) {
    this.targets = targets
  }

  write(line: string, level: LogLevel): void {
    const bytesAtMost = line.length * bytesPerUnit
    if (this.length + bytesAtMost > flushAtBytes) this.flush()
    if (bytesAtMost > flushAtBytes) this.handOn(Buffer.from(line))
    // Written at once, while the line is at hand: joining thousands of pieces later costs several times as much.
    else this.length += this.lines.write(line, this.length)
    // Whoever logs after the end is not forgotten either.
    if (isUrgent(level) || this.isClosed) this.flush()
    else this.timer ??= setTimeout(() => this.flush(), flushAfterMs).unref()
  }

  flush(): void {
    clearTimeout(this.timer)
    this.timer = undefined
    if (this.length === 0) return
    // A copy, since whoever takes the lines may keep them.
    this.handOn(Buffer.from(this.lines.subarray(0, this.length)))
    this.length = 0
  }

  private handOn(lines: Buffer): void {
    for (const target of this.targets) target.write(lines)
  }

  /** For the end of the process, where nothing can be waited for. */
  finish(): void {
    this.isClosed = true
    this.flush()
    for (const target of this.targets) target.finish()
  }

  async close(): Promise<void> {
    this.isClosed = true
    this.flush()
    await Promise.all(this.targets.map((target) => target.close()))
  }
}
