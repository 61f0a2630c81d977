/** Opens the log of a server as the settings say: standard output, the file, syslog. */
import { writeSync } from "node:fs"
import { resolve } from "node:path"
import { isatty } from "node:tty"
import type { Config } from "../config/index.ts"
import { Log } from "../log.ts"
import { createMask } from "../mask.ts"
import { Batch, type Target } from "./batch.ts"
import { LogFile } from "./file.ts"
import { type LogLevel, levels } from "./levels.ts"
import { jsonLines, localTimeLength, textLines } from "./lines.ts"
import { StandardOutput } from "./standard-output.ts"
import { Syslog } from "./syslog.ts"

/** A log with a lifetime. */
export interface OpenLog extends AsyncDisposable {
  log: Log
  /** Writes the lines that wait for more, as before something else is printed. */
  flush(): void
  /** Writes all that is still to be written. Lines that come later are written one by one. */
  close(): Promise<void>
}

/** What the log must know besides its settings. */
export interface Place {
  /** The folder of the project: `logging.file` is found from there. */
  folder: string
  /** The name of the application, for syslog. */
  name?: string | undefined
}

export function openLog(settings: Config["logging"], { folder, name = "trestle" }: Place): OpenLog {
  const mask = createMask(settings.mask)
  const style = settings.format === "json" ? jsonLines(mask) : textLines(mask)
  const sayLost = (count: number) =>
    Buffer.from(style({ level: "warn", module: "log", message: `${count} lines are missing here: there was no room.` }))

  // Node makes a lost reader of standard output an error that ends the process.
  if (!process.stdout.listeners("error").includes(ignore)) process.stdout.on("error", ignore)
  const output = new StandardOutput(sayLost)
  const isColored = settings.format === "text" && hasColors()
  const targets: Target[] = isColored ? [] : [output]
  if (settings.file !== "none") {
    const { file_size: size, file_backups: backups } = settings
    targets.push(new LogFile({ path: resolve(folder, settings.file), size, backups, sayLost, complain }))
  }
  const batch = new Batch(targets)
  const syslog = settings.syslog ? new Syslog(settings.syslog, name) : undefined

  const write = (line: string, level: LogLevel) => {
    batch.write(line, level)
    if (isColored) output.write(Buffer.from(colored(line, level)))
    syslog?.write(settings.format === "text" ? line.slice(localTimeLength) : line, level)
  }
  const finish = () => {
    batch.finish()
    output.finish()
  }
  const close = async () => {
    await Promise.all([batch.close(), output.close(), syslog?.close()])
    process.off("exit", finish)
  }
  process.on("exit", finish)
  const log = new Log(settings.level, "server", write, style)
  return { log, flush: () => batch.flush(), close, [Symbol.asyncDispose]: close }
}

const ignore = () => {}

/** Standard error is what is left when the log itself is in trouble; when that fails too, nothing is. */
function complain(message: string): void {
  try {
    writeSync(2, `${message}\n`)
  } catch {
    // There is nobody left to tell.
  }
}

/** See https://no-color.org: set to anything but nothing. */
const hasColors = () => isatty(1) && !process.env.NO_COLOR && process.env.TERM !== "dumb"

const colors: Record<LogLevel, number> = { debug: 90, info: 32, warn: 33, error: 31 }

/** The time in grey, the level in its colour. */
function colored(line: string, level: LogLevel): string {
  const label = `(${levels[level]})`
  const rest = line.slice(localTimeLength + label.length)
  return `\x1b[90m${line.slice(0, localTimeLength)}\x1b[${colors[level]}m${label}\x1b[0m${rest}`
}
