/**
 * A process that logs, for the tests of the log. Its argument is JSON: the settings of `logging` as environment variables,
 * the folder, and what to do; it prints nothing but its log.
 */
import { writeSync } from "node:fs"
import { loadConfig } from "../../src/core/config/index.ts"
import { openLog } from "../../src/core/log/open.ts"

interface Task {
  env: Record<string, string>
  folder: string
  /** Logs so many lines, numbered, each with this text. */
  lines?: number
  name?: string
  text?: string
  /** The line of this number is a WARNING. */
  warnAt?: number
  /** How it ends: "close" in order, "exit" by `process.exit`, "throw" by an error that nobody catches, "kill" by kill -9. */
  end?: "close" | "exit" | "throw" | "kill" | "wait"
  /** Writes a mark on standard error after so many lines, and goes on. */
  markAt?: number
}

const task = JSON.parse(process.argv[2]!) as Task
const { lines = 1, name = "one", text = "", warnAt, end = "close", markAt } = task
const { logging } = loadConfig({ folder: "/nonexistent", env: task.env })
const { log, close } = openLog(logging, { folder: task.folder, name: "writer" })

for (let number = 1; number <= lines; number++) {
  log[number === warnAt ? "warn" : "info"](`${name}:${number}:${text}:end`)
  if (number === markAt) writeSync(2, "mark\n")
}
if (end === "close") await close()
if (end === "exit") process.exit(3)
if (end === "kill") process.kill(process.pid, "SIGKILL")
if (end === "throw") throw new Error("nobody catches this")
if (end === "wait") setInterval(() => {}, 1000)
