/** How one line of the log is written: as text for people, or as JSON for machines. */
import { type Mask, masked } from "../mask.ts"
import { escapeControls, escapeInJson } from "./escape.ts"
import { type LogLevel, levels } from "./levels.ts"
import { printStack } from "./stack.ts"

/** What a line may say besides its message. An Error under `err` or `error` brings its stack. */
export type Fields = Record<string, unknown>

/** All that one line says. */
export interface Entry {
  level: LogLevel
  module: string
  message: string
  /** The id of the request that the line belongs to. */
  requestId?: string | undefined
  fields?: Fields | undefined
  /**
   * Fields that the message says in words already; only JSON repeats them. Neither they nor the message may hold secrets or
   * control characters.
   */
  said?: Fields | undefined
}

export type LineStyle = (entry: Entry) => string

const messageAtMost = 10_000
const fieldsAtMost = 50

/** `[DD/MM/YYYY | HH:MM:SS] (LEVEL) module: message key=value id=…`, then the frames of an error, indented. */
export function textLines(mask: Mask): LineStyle {
  return ({ level, module, message, requestId, fields, said }) => {
    let text = said ? message : escapeControls(mask.text(message.slice(0, messageAtMost)))
    let stack = ""
    for (const [name, value] of entriesOf(fields)) {
      if (isError(name, value)) stack += `\n    ${printStack(value, mask).replaceAll("\n", "\n    ")}`
      else text += `${text && " "}${escapeControls(name)}=${mask.isSecret(name) ? masked : printed(value, mask)}`
    }
    // A message that names the request need not do it twice.
    if (requestId && !message.includes(requestId)) text += `${text && " "}id=${escapeControls(requestId)}`
    return `${localTime()}(${levels[level]}) ${module}: ${text}${stack}\n`
  }
}

/** A value that cannot be taken for another field: quoted where it has spaces. */
function printed(value: unknown, mask: Mask): string {
  if (typeof value === "number" || typeof value === "boolean") return String(value)
  const json = mask.json(value)
  return escapeControls(/^"[^\s"\\=]+"$/.test(json) ? json.slice(1, -1) : json)
}

/** One JSON object in a line: time (UTC), level, module and message, then the fields. */
export function jsonLines(mask: Mask): LineStyle {
  return ({ level, module, message, requestId, fields, said }) => {
    const entry: Fields = {
      time: utcTime(),
      level,
      module,
      message: said ? message : mask.text(message.slice(0, messageAtMost)),
      ...(requestId && { request_id: requestId }),
      ...said,
    }
    for (const [name, value] of entriesOf(fields)) {
      // What the log says itself keeps its name.
      const free = Object.hasOwn(entry, name) ? `${name}_` : name
      if (isError(name, value)) entry[free] = jsonError(value, mask)
      else entry[free] = mask.isSecret(name) ? masked : mask.copy(value)
    }
    return `${escapeInJson(JSON.stringify(entry))}\n`
  }
}

const jsonError = (error: Error, mask: Mask) => ({
  type: error.name,
  message: mask.text(String(error.message).slice(0, messageAtMost)),
  stack: printStack(error, mask),
})

const isError = (name: string, value: unknown): value is Error =>
  (name === "err" || name === "error") && value instanceof Error

function entriesOf(fields: Fields | undefined): [string, unknown][] {
  if (!fields) return []
  try {
    return Object.entries(fields).slice(0, fieldsAtMost)
  } catch {
    // A getter that throws: the message still counts.
    return [["fields", "[unreadable]"]]
  }
}

let localSecond = Number.NaN
let localText = ""

/** Local time, as the people who read the file live in it; made once a second. */
function localTime(): string {
  const second = Math.floor(Date.now() / 1000)
  if (second !== localSecond) {
    localSecond = second
    const now = new Date(second * 1000)
    const two = (n: number) => String(n).padStart(2, "0")
    const day = `${two(now.getDate())}/${two(now.getMonth() + 1)}/${now.getFullYear()}`
    localText = `[${day} | ${two(now.getHours())}:${two(now.getMinutes())}:${two(now.getSeconds())}] `
  }
  return localText
}

/** How long the time at the beginning of a text line is, with the space after it. */
export const localTimeLength = "[20/11/2026 | 09:30:00] ".length

let utcSecond = Number.NaN
let utcText = ""

function utcTime(): string {
  const now = Date.now()
  const second = Math.floor(now / 1000)
  if (second !== utcSecond) {
    utcSecond = second
    utcText = new Date(second * 1000).toISOString().slice(0, 20)
  }
  return `${utcText}${String(now % 1000).padStart(3, "0")}Z`
}
