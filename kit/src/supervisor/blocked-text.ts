/** What a watchdog saw, as lines for people. */
import type { Blocked } from "./watchdog.ts"
import type { WorkerProcess } from "./worker-process.ts"

/** The line first that stood still. */
export function blockedText(
  { name, pid }: Pick<WorkerProcess, "name" | "pid">,
  { ms, stack, requests }: Blocked,
): string {
  const lines = stack.map(
    ({ function: fn, file, line, column }) => `    at ${fn || "(anonymous)"} (${file}:${line}:${column})`,
  )
  const asked = requests.map(({ id, method, route, user, ms }) => {
    const whose = user === undefined ? "" : ` of ${user ?? "a visitor"}`
    return `    ${method} ${route}${whose} since ${ms} ms (${id})`
  })
  return [
    `HARAKIRI: ${name} (pid ${pid}) stood still for ${(ms / 1000).toFixed(1)} s and was killed. It was`,
    ...(lines.length > 0 ? lines : ["    somewhere that could not be seen"]),
    ...(asked.length > 0 ? ["  with these in flight:", ...asked] : ["  with nothing in flight"]),
  ].join("\n")
}
