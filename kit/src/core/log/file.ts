/**
 * The log's file. Any number of processes append to it: each writes whole lines with O_APPEND, whoever finds it full
 * renames it (server.log → server.log.1 → …), and the others notice that the path names another file. A line in flight
 * meanwhile is appended to the renamed one, so none is lost.
 *
 * The file's troubles are never the server's: they are said once on standard error, and tried again.
 */
import {
  closeSync,
  fchownSync,
  fstatSync,
  futimesSync,
  mkdirSync,
  openSync,
  readSync,
  type Stats,
  statSync,
  writeSync,
} from "node:fs"
import { dirname } from "node:path"
import { Backlog } from "./backlog.ts"
import type { Target } from "./batch.ts"
import { rotate } from "./rotate.ts"

/** How much may wait while the file cannot be written, as on a full disk. */
const waitingAtMost = 4 * 1024 * 1024
const retryMs = 1000
const newline = 10

export interface LogFileOptions {
  path: string
  /** A file that would grow beyond is renamed, in bytes. */
  size: number
  /** How many renamed files are kept. */
  backups: number
  /** Makes the line that stands where lines are missing. */
  sayLost(count: number): Buffer
  /** Where trouble is told. */
  complain(message: string): void
}

export class LogFile implements Target {
  private readonly options: LogFileOptions
  private readonly waiting = new Backlog(waitingAtMost)
  private fd: number | undefined
  private dev = 0
  private ino = 0
  /** The size that the file has if nobody wrote since this process did: then it ends with a whole line. */
  private wholeAt = 0
  private isTroubled = false
  private cannotRename = false
  private retry: NodeJS.Timeout | undefined
  private rotateNotBefore = 0

  constructor(options: LogFileOptions) {
    this.options = options
    this.attempt(() => this.open())
  }

  write(lines: Buffer): void {
    this.waiting.add(lines)
    if (!this.retry) this.advance()
  }

  finish(): void {
    this.advance()
    clearTimeout(this.retry)
  }

  async close(): Promise<void> {
    this.finish()
    this.retry = undefined
    this.closeFile()
  }

  private advance(): void {
    clearTimeout(this.retry)
    this.retry = undefined
    this.attempt(() => {
      for (let lines = this.waiting.first; lines; lines = this.waiting.first) {
        this.waiting.replaceFirst(lines.subarray(this.append(lines)))
        if (this.waiting.first) continue
        const lost = this.waiting.takeLost()
        if (lost > 0) this.waiting.add(this.options.sayLost(lost))
      }
    })
  }

  private attempt(work: () => void): void {
    try {
      work()
      this.isTroubled = false
    } catch (error) {
      this.closeFile()
      this.retry = setTimeout(() => this.advance(), retryMs).unref()
      if (!this.isTroubled)
        this.complain(`cannot be written: ${(error as Error).message}. Lines are kept and tried again`)
      this.isTroubled = true
    }
  }

  private complain(trouble: string): void {
    this.options.complain(`The log file ${this.options.path} ${trouble}.`)
  }

  /** Appends, and says how many bytes are done with. A line that went only half is not: it comes again, whole. */
  private append(lines: Buffer): number {
    const size = this.prepare(lines.length)
    const isTorn = size !== this.wholeAt && endsTorn(this.fd!, size)
    const bytes = isTorn ? Buffer.concat([Buffer.of(newline), lines]) : lines
    const written = writeSync(this.fd!, bytes)
    this.wholeAt = written === bytes.length ? size + written : 0
    if (written === bytes.length) return lines.length
    return Math.max(0, bytes.subarray(0, written).lastIndexOf(newline) + 1 - (isTorn ? 1 : 0))
  }

  /** Sees to it that the descriptor is that of the file at the path, with room for so much more; returns its size. */
  private prepare(more: number): number {
    const found = this.find()
    if (!found) return this.open()
    if (found.size === 0 || found.size + more <= this.options.size || Date.now() < this.rotateNotBefore) {
      return found.size
    }
    try {
      // Where another process is at it, this one appends to the file as it is.
      if (!rotate(this.options.path, this.options.backups, found)) return found.size
      this.cannotRename = false
    } catch (error) {
      this.rotateNotBefore = Date.now() + 60 * retryMs
      if (!this.cannotRename) this.complain(`cannot be renamed, so it grows: ${(error as Error).message}`)
      this.cannotRename = true
      return found.size
    }
    return this.open()
  }

  /** The file at the path, if it is still the one that is open. */
  private find(): Stats | undefined {
    if (this.fd === undefined) return undefined
    const found = statSync(this.options.path, { throwIfNoEntry: false })
    return found && found.ino === this.ino && found.dev === this.dev ? found : undefined
  }

  private open(): number {
    this.closeFile()
    const { path } = this.options
    mkdirSync(dirname(path), { recursive: true, mode: 0o750 })
    // Read as well as appended: endsTorn looks at the last byte.
    this.fd = openSync(path, "a+", 0o640)
    lendToOwner(this.fd, dirname(path))
    // Of what was opened: another process may have renamed it since, and the path then names another file, or none.
    const { dev, ino, size } = fstatSync(this.fd)
    this.dev = dev
    this.ino = ino
    this.wholeAt = 0
    return size
  }

  private closeFile(): void {
    if (this.fd === undefined) return
    const { fd } = this
    this.fd = undefined
    try {
      closeSync(fd)
    } catch {
      // What could not be closed cannot be used again either.
    }
  }
}

/** A file that root begins belongs to the owner of its folder, whose processes append to it too. */
function lendToOwner(fd: number, folder: string): void {
  if (process.getuid?.() !== 0) return
  const { uid, gid } = statSync(folder)
  if (uid !== 0) fchownSync(fd, uid, gid)
}

/**
 * Whether a process that was killed while it wrote, or a full disk, left half a line at the end. While another process
 * writes it can look so too, since a file grows page by page: then a later look finds it whole.
 */
function endsTorn(fd: number, size: number): boolean {
  if (lastByte(fd, size) === newline) return false
  for (let look = 0; look < 3; look++) {
    waitForWriters(fd)
    if (lastByte(fd, fstatSync(fd).size) === newline) return false
  }
  return true
}

/** Setting the time of a file waits until a write to it has ended. Without it, 30 empty lines in a million. */
function waitForWriters(fd: number): void {
  try {
    const now = new Date()
    futimesSync(fd, now, now)
  } catch {
    // The file belongs to another user: the next look comes a little later all the same.
  }
}

function lastByte(fd: number, size: number): number {
  const byte = Buffer.alloc(1)
  return readSync(fd, byte, 0, 1, size - 1) === 1 ? byte[0]! : newline
}
