/**
 * The log: one line per event, `[DD/MM/YYYY | HH:MM:SS] (LEVEL) module: message`, then the fields as `key=value`.
 * It has the interface that Fastify and pino share, so `req.log.info({ movie }, "text")` works as everywhere. Whatever it
 * is given, a line stays one line and secrets are masked; where lines go is in log/open.ts.
 */
import { format } from "node:util"
import { type LogLevel, weights } from "./log/levels.ts"
import { type Entry, type Fields, type LineStyle, textLines } from "./log/lines.ts"
import { createMask } from "./mask.ts"

export type { LogLevel } from "./log/levels.ts"

/** Takes a finished line, with its newline. */
export type WriteLine = (line: string, level: LogLevel) => void

/** Where lines go when nothing else is said: standard output, whole lines. */
const toStandardOutput: WriteLine = (line) => void process.stdout.write(line)

const asText = textLines(createMask())

export class Log {
  readonly level: string
  readonly module: string
  private readonly write: WriteLine
  private readonly style: LineStyle
  private readonly requestId: string | undefined
  private readonly bindings: Fields | undefined

  constructor(
    level = "info",
    module = "server",
    write: WriteLine = toStandardOutput,
    style: LineStyle = asText,
    requestId?: string,
    bindings?: Fields,
  ) {
    this.level = level
    this.module = module
    this.write = write
    this.style = style
    this.requestId = requestId
    this.bindings = bindings
  }

  /** The same log under the name of another module. */
  for(module: string): Log {
    return new Log(this.level, module, this.write, this.style, this.requestId, this.bindings)
  }

  /**
   * The same log with fields that each line carries. Fastify calls it for every request with the request's id, so it only
   * keeps what it is given.
   */
  child(bindings: Fields, options?: { level?: string }): Log {
    const { reqId, module, ...rest } = bindings
    return new Log(
      options?.level ?? this.level,
      typeof module === "string" ? module : this.module,
      this.write,
      this.style,
      typeof reqId === "string" ? reqId : this.requestId,
      isEmpty(rest) ? this.bindings : { ...this.bindings, ...rest },
    )
  }

  /** Whether lines of this level are written. */
  isLevelEnabled(level: string): boolean {
    return (weights[level] ?? 0) >= (weights[this.level] ?? 0)
  }

  /** Fastify's interface has it; this log has no level so low. */
  trace(_first: unknown, ..._more: unknown[]): void {}
  debug(first: unknown, ...more: unknown[]): void {
    if (this.isLevelEnabled("debug")) this.line("debug", first, more)
  }
  info(first: unknown, ...more: unknown[]): void {
    if (this.isLevelEnabled("info")) this.line("info", first, more)
  }
  warn(first: unknown, ...more: unknown[]): void {
    if (this.isLevelEnabled("warn")) this.line("warn", first, more)
  }
  error(first: unknown, ...more: unknown[]): void {
    if (this.isLevelEnabled("error")) this.line("error", first, more)
  }
  fatal(first: unknown, ...more: unknown[]): void {
    if (this.isLevelEnabled("fatal")) this.line("error", first, more)
  }
  silent(_first: unknown, ..._more: unknown[]): void {}

  /**
   * A line whose message says all that `said` says, for what is logged at every request: a text line is the message alone.
   * The caller has masked both, and escaped what came from outside.
   */
  say(level: LogLevel, message: string, said: Fields): void {
    if (this.isLevelEnabled(level)) this.write(this.style({ level, module: this.module, message, said }), level)
  }

  private line(level: LogLevel, first: unknown, more: unknown[]): void {
    const entry: Entry = { level, module: this.module, message: "", requestId: this.requestId, fields: this.bindings }
    if (first instanceof Error) {
      entry.fields = { ...this.bindings, err: first }
      entry.message = more.length > 0 ? texts(more) : ""
    } else if (typeof first === "object" && first !== null) {
      entry.fields = this.bindings ? { ...this.bindings, ...first } : (first as Fields)
      entry.message = texts(more)
    } else entry.message = texts([first, ...more])
    this.write(this.style(entry), level)
  }
}

function isEmpty(fields: Fields): boolean {
  for (const _ in fields) return false
  return true
}

/** The message with what it leaves open: `("%d movies", 3)`. Pino ignores values that the text has no place for. */
function texts([message, ...values]: unknown[]): string {
  if (message === undefined) return ""
  if (typeof message !== "string") return format("%s", message)
  if (values.length === 0) return message
  const places = message.match(/%[sdifjoOc]/g)?.length ?? 0
  return format(message, ...values.slice(0, places))
}
