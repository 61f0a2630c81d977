/** What the system knows of processes. Linux tells it in /proc. */
import { existsSync, readdirSync, readFileSync } from "node:fs"

/** Whether this system has what the others here read. */
export const hasProc: boolean = existsSync("/proc/self/stat")

/** The fields of `/proc/PID/stat` behind the name: state, parent, … (proc_pid_stat(5)); undefined when there is no such process. */
function fieldsOf(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1")
    return text.slice(text.lastIndexOf(")") + 2).split(" ")
  } catch {
    return undefined
  }
}

/** `"R"`, `"S"`, `"Z"` for a zombie. */
export const stateOf = (pid: number): string | undefined => fieldsOf(pid)?.[0]

/** What it is called, for messages. */
export function nameOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trim()
  } catch {
    return "ended"
  }
}

export const isAlive = (pid: number): boolean => ![undefined, "Z", "X"].includes(stateOf(pid))

export function childrenOf(parent: number): number[] {
  const pids = hasProc ? readdirSync("/proc").filter((name) => /^\d+$/.test(name)) : []
  return pids.map(Number).filter((pid) => Number(fieldsOf(pid)?.[1]) === parent)
}

export function descendantsOf(pid: number): number[] {
  return childrenOf(pid).flatMap((child) => [child, ...descendantsOf(child)])
}

/** Linux counts in hundredths of a second, on every machine that Node runs on. */
const tickMs = 10

/** CPU time so far, user and system, in milliseconds. */
export function cpuMs(pid: number): number {
  const fields = fieldsOf(pid)
  return fields ? (Number(fields[11]) + Number(fields[12])) * tickMs : 0
}
