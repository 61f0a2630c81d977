/**
 * Ties a database of the tests to the life of this process: when this process ends, even by kill -9, a pipe closes, and the
 * shell at its other end stops PostgreSQL. (`setpriv --pdeathsig` does the same on Linux only, not in Alpine's BusyBox.)
 */
import { spawn } from "node:child_process"
import type { Account } from "./place.ts"

/** Returns what unties it again; call that once the database is stopped, before its process id is another's. */
export function endWithParent(pid: number, account: Account | undefined): () => void {
  const shell = spawn("/bin/sh", ["-c", 'read -r _; kill -INT "$1"', "sh", String(pid)], {
    ...account,
    cwd: "/",
    env: { PATH: "/usr/bin:/bin" },
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  })
  shell.on("error", () => {}) // without a shell it stays running, and the next start adopts it
  shell.unref()
  // The pipe is a socket inside Node; it must not keep this process alive either.
  ;(shell.stdin as unknown as { unref(): void }).unref()
  return () => void shell.kill("SIGKILL")
}
