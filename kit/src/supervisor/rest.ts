/** How long the supervisor rests between its answers, so that limits take no more than a part of a core, however much is asked. */

/** Waking up costs more than most answers. */
const leastMs = 10
/** Who waits may need two rounds, and takes a supervisor for silent after a second. */
const mostMs = 75
/** It works for one of so many parts of the time: 1.25 %. */
const parts = 80

/** Makes what says, at each answer, how many milliseconds the next one has to wait. */
export function restsAfter(cpuMs = usedCpuMs, now = () => performance.now()): () => number {
  let restedAt = now()
  let used = cpuMs()
  return () => {
    const at = now()
    const before = used
    used = cpuMs()
    // Idle time after the last rest counts as rest.
    const idleMs = Math.max(0, at - restedAt)
    const restMs = Math.min(Math.max((used - before) * parts - idleMs, leastMs), mostMs)
    restedAt = at + restMs
    return restMs
  }
}

function usedCpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}
