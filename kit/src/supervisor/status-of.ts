/** What the supervisor's places, programs and processes look like from outside. */
import type { Program } from "./programs.ts"
import type { ProcessStatus } from "./status.ts"
import type { WorkerProcess } from "./worker-process.ts"
import type { Workers } from "./workers.ts"

const nothing = { connections: 0, requests: 0, answered: 0, memory: 0, delay: 0 }

/** Each place with its process, then those that are about to end, then the application's programs. */
export function processesOf({ places, workers }: Workers, programs: readonly Program[]): ProcessStatus[] {
  const inPlace = places.map(({ name, current, restarts, lastEnd, isWaiting }): ProcessStatus => {
    const next = current ?? workers.find((worker) => worker.name === name && worker.state === "starting")
    if (next) return processStatus(next, { restarts, lastEnd })
    const state = isWaiting ? "waiting" : "starting"
    return { name, state, pid: null, started: null, ...nothing, restarts, lastEnd }
  })
  const draining = workers.filter(({ state }) => state === "draining")
  return [
    ...inPlace,
    ...draining.map((worker) => processStatus(worker, { restarts: 0, lastEnd: null })),
    ...programs.map(programStatus),
  ]
}

function processStatus(worker: WorkerProcess, before: Pick<ProcessStatus, "restarts" | "lastEnd">): ProcessStatus {
  const { name, state, pid, started, vitals, connections } = worker
  return {
    name,
    state: state === "ended" ? "waiting" : state,
    pid: pid ?? null,
    started: new Date(started).toISOString(),
    ...vitals,
    connections,
    ...before,
  }
}

function programStatus({ name, pid, started, restarts, lastEnd }: Program): ProcessStatus {
  const began = started === undefined ? null : new Date(started).toISOString()
  return { name, state: pid ? "ready" : "waiting", pid: pid ?? null, started: began, ...nothing, restarts, lastEnd }
}
