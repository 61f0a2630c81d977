/** Measures what a request costs a server: CPU of its process per request, in microseconds, while another process asks. */
import { type ChildProcess, fork, spawnSync } from "node:child_process"
import type { Load } from "./load.ts"

/** A server under measurement: a process of its own that says its port, and its CPU time when it is asked. */
export interface Subject {
  name: string
  port: number
  /** CPU time so far, user and system, in microseconds. */
  cpu(): Promise<number>
  stop(): void
}

pin(process, 1)

export async function startSubject(name: string, file: string, env: Record<string, string>): Promise<Subject> {
  const child = fork(new URL(file, import.meta.url), {
    env: { ...process.env, ...env },
    // What a server logs is part of its work, but not of our table: it goes to a pipe that somebody reads, as under systemd
    // and Docker.
    stdio: ["ignore", "pipe", "inherit", "ipc"],
  })
  child.stdout!.resume()
  const { port } = await ask<{ port: number }>(child)
  pin(child, 0)
  return {
    name,
    port,
    async cpu() {
      const { user, system } = await ask<NodeJS.CpuUsage>(child, "cpu")
      return user + system
    },
    stop: () => void child.kill(),
  }
}

/** Gives a process a core of its own, where the system can: servers have the first, whoever asks them the second. */
export function pin({ pid }: { pid?: number | undefined }, core: number): void {
  spawnSync("taskset", ["-acp", String(core), String(pid)])
}

export function ask<T>(child: ChildProcess, message?: object | string): Promise<T> {
  return new Promise((resolve, reject) => {
    const ended = (code: number | null) => reject(new Error(`${child.spawnargs.at(-1)} ended with ${code}`))
    child.once("exit", ended)
    child.once("message", (answer) => {
      child.off("exit", ended)
      resolve(answer as T)
    })
    if (message) child.send(message)
  })
}

/** What is asked, and how often in a round. */
export interface Workload {
  name: string
  /** The bytes of one request, or several to send in turn; or what makes them for a subject. */
  requests: string | string[] | ((subject: Subject) => string)
  count: number
  /** The connections that are kept busy. Default 64. */
  connections?: number
}

/** The bytes of a request. */
export const request = (line: string, headers: Record<string, string> = {}, body = ""): string => {
  const all = Object.entries({ host: "localhost", ...headers, ...(body && { "content-length": String(body.length) }) })
  return `${line} HTTP/1.1\r\n${all.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n${body}`
}

/**
 * CPU per request of each subject, in turns, so that a slow spell of the machine hits all of them; the least of the rounds
 * counts, since noise only adds. A first round warms up.
 */
export async function compare(subjects: Subject[], workload: Workload, rounds = 3): Promise<Map<string, number>> {
  const load = fork(new URL("./load.ts", import.meta.url))
  pin(load, 1)
  const best = new Map<string, number>()
  try {
    for (let round = 0; round <= rounds; round++) {
      for (const subject of subjects) {
        const count = round === 0 ? Math.ceil(workload.count / 4) : workload.count
        const { connections = 64 } = workload
        const requests = typeof workload.requests === "function" ? workload.requests(subject) : workload.requests
        const before = await subject.cpu()
        const task: Load = { port: subject.port, requests: [requests].flat(), connections, count }
        const statuses = await ask<Record<string, number>>(load, task)
        const each = ((await subject.cpu()) - before) / count
        const bad = Object.keys(statuses).filter((status) => !/^[23]/.test(status))
        if (bad.length > 0) throw new Error(`${subject.name}, ${workload.name}: ${JSON.stringify(statuses)}`)
        if (round > 0) best.set(subject.name, Math.min(best.get(subject.name) ?? Infinity, each))
      }
    }
  } finally {
    load.kill()
  }
  return best
}

/** A table with a column for each subject, and for each but `subject` the ratio of its cost to the subject's. */
export function printHead(names: string[], subject: string): void {
  const ratios = names.filter((name) => name !== subject).map((name) => `${name}/${subject}`)
  console.log(["CPU µs per request".padEnd(32), ...[...names, ...ratios].map((name) => name.padStart(16))].join(""))
}

export function printRow(name: string, costs: Map<string, number>, names: string[], subject: string): void {
  const cell = (value: number | undefined, digits: number) => (value?.toFixed(digits) ?? "–").padStart(16)
  const own = costs.get(subject)!
  const ratio = (one: string) => (costs.has(one) ? costs.get(one)! / own : undefined)
  const ratios = names.filter((one) => one !== subject).map((one) => cell(ratio(one), 2))
  console.log([name.padEnd(32), ...names.map((one) => cell(costs.get(one), 1)), ...ratios].join(""))
}
