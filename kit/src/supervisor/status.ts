/** What a supervisor tells of itself and its processes, and how people are shown it. */
import { escapeControls } from "../core/log/escape.ts"
import type { Vitals } from "./messages.ts"

/** What `trestle status --json` prints. */
export interface Status {
  /** The supervisor's. */
  pid: number
  /** The name of the application. */
  app: string
  /** The application's own, where it has one. */
  version?: string
  url: string
  /** When the supervisor began, ISO 8601. */
  started: string
  state: "starting" | "running" | "reloading" | "stopping"
  /** Counts the reloads: the first processes are of generation 1. */
  generation: number
  processes: ProcessStatus[]
}

/** A place for a process, and the process that is in it now. Without one (`pid` is null) its figures are 0. */
export interface ProcessStatus extends Vitals {
  /** `"web 1"`: the place keeps its name when its process is replaced. */
  name: string
  /** `"waiting"`: for its back-off, after the last one ended. */
  state: "starting" | "ready" | "draining" | "waiting"
  pid: number | null
  /** When the process began, ISO 8601. */
  started: string | null
  /** How often a process in this place was replaced. */
  restarts: number
  /** Why the last process in this place ended. */
  lastEnd: string | null
}

/** What a column is called and says of a process; figures are right-aligned. */
type Column = [title: string, align: "left" | "right", say: (process: ProcessStatus, now: number) => string]

const ofProcess =
  (say: (process: ProcessStatus, now: number) => string) =>
  (process: ProcessStatus, now: number): string =>
    process.pid === null ? "-" : say(process, now)

const columns: Column[] = [
  ["process", "left", ({ name }) => escapeControls(name)],
  ["state", "left", ({ state }) => escapeControls(state)],
  ["pid", "right", ofProcess(({ pid }) => String(pid))],
  ["age", "right", ofProcess(({ started }, now) => (started ? since(started, now) : "-"))],
  ["connections", "right", ofProcess(({ connections }) => String(connections))],
  ["in flight", "right", ofProcess(({ requests }) => String(requests))],
  ["answered", "right", ofProcess(({ answered }) => String(answered))],
  ["memory", "right", ofProcess(({ memory }) => `${Math.round(memory / 1e6)} MB`)],
  ["loop delay", "right", ofProcess(({ delay }) => `${Math.round(delay)} ms`)],
  ["restarts", "right", ({ restarts }) => String(restarts)],
  ["why", "left", ({ lastEnd }) => escapeControls(lastEnd ?? "")],
]

/** The status as lines for people; `now` is a time in milliseconds, as `Date.now()` gives it. */
export function statusTable(status: Status, now: number): string {
  const rows = status.processes.map((process) => columns.map(([, , say]) => say(process, now)))
  const table = [columns.map(([title]) => title), ...rows]
  const widths = columns.map((_, column) => Math.max(...table.map((cells) => cells[column]!.length)))
  const lines = table.map((cells) =>
    columns
      .map(([, align], column) => {
        const [cell, width] = [cells[column]!, widths[column]!]
        return align === "left" ? cell.padEnd(width) : cell.padStart(width)
      })
      .join("  ")
      .trimEnd(),
  )
  return `${[headOf(status, now), "", ...lines].join("\n")}\n`
}

function headOf({ app, version, url, state, started, generation, pid }: Status, now: number): string {
  const name = version ? `${app} ${version}` : app
  return escapeControls(
    `${name} at ${url}: ${state}, up for ${since(started, now)}, generation ${generation}, supervisor ${pid}`,
  )
}

/** The time since then in its two largest units: `"3 h 20 min"`. A clock that was set back makes it 0 s. */
function since(iso: string, now: number): string {
  const seconds = Math.max(0, Math.floor((now - Date.parse(iso)) / 1000))
  const [minutes, hours] = [Math.floor(seconds / 60), Math.floor(seconds / 3600)]
  const parts = [`${Math.floor(hours / 24)} d`, `${hours % 24} h`, `${minutes % 60} min`, `${seconds % 60} s`]
  const first = parts.findIndex((part) => !part.startsWith("0 "))
  if (first < 0) return "0 s"
  const shown = parts.slice(first, first + 2).filter((part) => !part.startsWith("0 "))
  return shown.join(" ")
}
