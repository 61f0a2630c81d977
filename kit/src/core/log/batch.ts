/**
 * Collects lines and hands them on many at once: a system call for each would cost more than the rest of the log. INFO
 * and DEBUG wait for 16 kB or 200 ms; WARNING and ERROR are written at once, and all that waited before them.
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

const flushAtLength = 16 * 1024
const flushAfterMs = 200

export class Batch {
  private readonly targets: Target[]
  private text = ""
  private timer: NodeJS.Timeout | undefined
  private isClosed = false

  constructor(targets: Target[]) {
    this.targets = targets
  }

  write(line: string, level: LogLevel): void {
    this.text += line
    // Whoever logs after the end is not forgotten either.
    if (isUrgent(level) || this.text.length >= flushAtLength || this.isClosed) this.flush()
    else this.timer ??= setTimeout(() => this.flush(), flushAfterMs).unref()
  }

  flush(): void {
    clearTimeout(this.timer)
    this.timer = undefined
    if (this.text === "") return
    const lines = Buffer.from(this.text)
    this.text = ""
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
