/**
 * What the operating system knows about a process id. Ids are used again, so nothing here trusts an id alone.
 * Where /proc is missing (macOS) `ps` answers instead, which costs some milliseconds.
 */
import { execFileSync } from "node:child_process"
import { readFileSync, readlinkSync } from "node:fs"

/** State (`R`, `S`, `Z`, …) and start, in clock ticks since the boot, of a process; undefined without /proc or process. */
function statOf(pid: number): { state: string; start: string } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8")
    // The name of the program stands in brackets and may itself hold spaces and brackets: count from the last one.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ")
    return { state: fields[0] ?? "", start: fields[19] ?? "" }
  } catch {
    return undefined
  }
}

/** True while the process lives. One that died but was never waited for (Node as process 1 of a container) is dead. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false
  }
  return statOf(pid)?.state !== "Z"
}

/** A text that tells apart two processes that had the same id one after the other; "0" where it cannot be known. */
export function birthOf(pid: number): string {
  return statOf(pid)?.start || "0"
}

/** True when the process is the postmaster that works on `data`, an absolute real path. */
export function isPostmasterOf(pid: number, data: string): boolean {
  if (!isRunning(pid)) return false
  try {
    // The folder of work follows a renamed project, which the command line does not.
    const folder = readlinkSync(`/proc/${pid}/cwd`)
    return folder === data && readFileSync(`/proc/${pid}/comm`, "utf8").trim() === "postgres"
  } catch {
    // No /proc, or root without CAP_SYS_PTRACE, as in Docker: it may read the command lines of others, not their folder.
    return commandOf(pid).includes(data) && commandOf(pid).includes("postgres")
  }
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ")
  } catch {
    try {
      return execFileSync("ps", ["-o", "command=", "-p", String(pid)], { encoding: "utf8" })
    } catch {
      return ""
    }
  }
}
