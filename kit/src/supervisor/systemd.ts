/**
 * Tells systemd how the server is, as sd_notify(3) describes; without NOTIFY_SOCKET it does nothing. Node has no datagram
 * sockets of the Unix kind, so the program `systemd-notify` sends each message, and the unit needs `NotifyAccess=all`: with
 * `main`, which `Type=notify` implies, systemd ignores what other processes than the supervisor send. A unit says:
 *
 *     [Service]
 *     Type=notify-reload
 *     NotifyAccess=all
 *     WatchdogSec=30
 *
 * Before systemd 253 it is `Type=notify`, and `ExecReload=npx trestle reload`.
 */
import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { escapeControls } from "../core/log/escape.ts"
import type { Log } from "../core/log.ts"

/** Messages reach systemd in the order of the calls. What these promise is that one was sent or given up; none rejects. */
export interface Systemd {
  /** The server is up, or a reload is over, done or not. `says` is what `systemctl status` shows, one line. */
  ready(says?: string): Promise<void>
  /** A reload begins. Each needs its `ready`. */
  reloading(): Promise<void>
  stopping(): Promise<void>
  /** Ends the watchdog, and waits until all is sent. */
  close(): Promise<void>
}

/** `systemd-notify` waits up to 5 s until systemd has taken the message. */
const patienceMs = 10_000

/** The longest interval of a timer in Node; a longer one would be none at all. */
const longestMs = 2 ** 31 - 1

const run = promisify(execFile)

/**
 * Takes the variables for systemd out of the environment, and answers its watchdog for as long as this process does its work.
 * Call it before anything is started: with `NotifyAccess=all`, a PostgreSQL that inherits them would say for us that it is
 * ready, and that it stops.
 * @example const service = systemd(log); await service.ready("4 processes at http://localhost:8000")
 */
export function systemd(log: Log, environment: NodeJS.ProcessEnv = process.env): Systemd {
  const { NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID } = environment
  for (const name of ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]) delete environment[name]
  if (!NOTIFY_SOCKET) return { ready: nothing, reloading: nothing, stopping: nothing, close: nothing }

  let last = Promise.resolve()
  let hasComplained = false
  const send = (...assignments: string[]): Promise<void> => {
    last = last.then(async () => {
      try {
        const env = { ...environment, NOTIFY_SOCKET }
        await run("systemd-notify", assignments, { env, timeout: patienceMs, killSignal: "SIGKILL" })
      } catch (error) {
        if (!hasComplained) log.warn(`systemd does not learn how this server is: ${(error as Error).message.trim()}`)
        hasComplained = true
      }
    })
    return last
  }

  let isPinging = false
  const ping = async () => {
    if (isPinging) return
    isPinging = true
    await send("WATCHDOG=1")
    isPinging = false
  }
  const intervalMs = isForUs(WATCHDOG_PID) ? Number(WATCHDOG_USEC ?? 0) / 2000 : 0
  const watchdog = intervalMs > 0 ? setInterval(ping, Math.min(intervalMs, longestMs)).unref() : undefined

  return {
    // The launcher may have begun as the main process, and waits for this one.
    ready: (says = "Running.") => send("READY=1", `MAINPID=${process.pid}`, statusOf(says)),
    reloading: () => send("RELOADING=1", `MONOTONIC_USEC=${monotonicUsec()}`, statusOf("Reloading.")),
    stopping: () => send("STOPPING=1", statusOf("Stopping.")),
    close() {
      clearInterval(watchdog)
      return last
    },
  }
}

const nothing = async (): Promise<void> => {}

/** sd_watchdog_enabled(3); the launcher, which may be our parent, answers no watchdog itself. */
const isForUs = (pid: string | undefined): boolean => !pid || [process.pid, process.ppid].includes(Number(pid))

/** A second line would be an assignment of its own. */
const statusOf = (says: string): string => `STATUS=${escapeControls(says)}`

/** CLOCK_MONOTONIC, with which systemd tells this reload from one before its signal. */
const monotonicUsec = (): bigint => process.hrtime.bigint() / 1000n
