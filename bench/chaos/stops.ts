/** SIGTERM lets a request end that is in flight, and leaves nothing behind; the same as process 1 of a container. */
import { spawnSync } from "node:child_process"
import { setTimeout as pause } from "node:timers/promises"
import { type Chaos, type Finding, seconds } from "./findings.ts"
import { childrenOf, descendantsOf, isAlive, nameOf, stateOf } from "./processes.ts"
import type { Project } from "./site.ts"

const asFirst = "as process 1 (unshare -pf) it does the same, and reaps what others leave behind"

export async function* stops({ project, isShort }: Chaos): AsyncGenerator<Finding> {
  const ms = isShort ? 1000 : 10_000
  yield await stop(project, ms)
  const promise = asFirst
  const wrapper = ["unshare", "-pf", "--mount-proc", "--kill-child"]
  if (spawnSync(wrapper[0]!, [...wrapper.slice(1), "true"]).status !== 0) {
    yield { promise, notShown: "unshare is not there, or may not make a namespace of processes here" }
  } else {
    yield await stop(project, ms, wrapper)
  }
}

async function stop(project: Project, ms: number, wrapper?: string[]): Promise<Finding> {
  await using server = await project.start({}, wrapper)
  const supervisor = wrapper ? childrenOf(server.pid)[0]! : server.pid
  await fetch(`${server.url}/api/chaos/orphan`)
  await pause(1000)
  const zombies = descendantsOf(server.pid)
    .filter((pid) => stateOf(pid) === "Z")
    .map(nameOf)
  const began = performance.now()
  const answer = fetch(`${server.url}/api/chaos/wait?ms=${ms}`).then(
    async (response) => ((await response.json()) as { pid: number }).pid > 0 && response.status,
    (error: Error) => error.message,
  )
  await pause(300)
  const all = descendantsOf(server.pid)
  process.kill(supervisor, "SIGTERM")
  const status = await answer
  const answeredMs = performance.now() - began
  const { code } = await server.ended
  const endedMs = performance.now() - began
  const left = all.filter(isAlive)
  const hasDatabase = (await project.postmaster()) !== undefined
  return {
    promise: wrapper
      ? asFirst
      : `SIGTERM with a request in flight that takes ${ms / 1000} s: it completes, exit code 0, nothing is left`,
    figure:
      `answered ${status} after ${seconds(answeredMs)}, ended after ${seconds(endedMs)} with code ${code}; of ${all.length} ` +
      `processes ${left.length} left, ${zombies.length} zombies while it ran (${zombies.join(", ") || "none"}); the database ${hasDatabase ? "still runs" : "has stopped"}`,
    isKept: status === 200 && code === 0 && left.length === 0 && zombies.length === 0 && !hasDatabase,
  }
}
