// Runs a program in the launcher's place: same terminal, same signals, same end. Used before Node 24 is there, so it is
// plain JavaScript.
import { spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import { constants } from "node:os"
import process from "node:process"

/** SIGKILL cannot be passed on: a server whose launcher was killed goes on, as one that was started without a launcher. */
const passedOn = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"]

/**
 * What a terminal sends for Ctrl-C and Ctrl-\. It sends it to every process in its foreground, the child among them, and a
 * server takes a second SIGINT for "at once": there the child has it already. (Who sends SIGINT to the launcher alone while
 * it is in a terminal's foreground is not heard; SIGTERM is.)
 */
const fromKeyboard = ["SIGINT", "SIGQUIT"]

function isInForeground() {
  try {
    // proc(5): after the program's name in brackets state, parent, group, session, terminal, the terminal's foreground group.
    const stat = readFileSync("/proc/self/stat", "utf8")
    const [, , group, , terminal, foreground] = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    return terminal !== "0" && group === foreground
  } catch {
    return process.stdin.isTTY === true // not Linux
  }
}

/**
 * Starts the program, passes signals on to it and resolves when it ends, with its exit code or the signal that ended it.
 * @param {string} command
 * @param {string[]} args
 * @param {import("node:child_process").SpawnOptions} [options] `stdio` is inherited unless it is given.
 * @returns {Promise<{ code: number | null, signal: string | null, output: string }>} `output` is what came through pipes.
 */
export function runChild(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: "inherit", ...options })
    const pass = (signal) => {
      if (!(fromKeyboard.includes(signal) && isInForeground())) child.kill(signal)
    }
    const handlers = passedOn.map((signal) => [signal, () => pass(signal)])
    for (const [signal, handler] of handlers) process.on(signal, handler)
    const release = () => {
      for (const [signal, handler] of handlers) process.off(signal, handler)
    }
    let output = ""
    for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk) => (output += chunk))
    child.once("error", (error) => {
      release()
      reject(error)
    })
    child.once("close", (code, signal) => {
      release()
      resolve({ code, signal, output })
    })
  })
}

/** Ends this process as the child ended, so that a shell, npm or systemd sees the same. */
export function endLike({ code, signal }) {
  if (signal === null) process.exit(code)
  process.kill(process.pid, signal)
  // Still here: the first process of a container is not ended by signals that it does not handle.
  process.exit(128 + constants.signals[signal])
}
