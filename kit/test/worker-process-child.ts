/** Takes all file descriptors that it may have, then starts a process of the supervisor and says what becomes of it. */
import { openSync } from "node:fs"
import { WorkerProcess } from "../src/supervisor/worker-process.ts"

try {
  for (;;) openSync("/dev/null", "r")
} catch {
  // None is left.
}
const worker = new WorkerProcess({
  name: "web 1",
  command: "web-worker",
  folder: "/",
  user: undefined,
  heard() {},
  blocked() {},
})
const said: string[] = []
await worker.ready.catch(({ message }: Error) => said.push(`not ready: ${message}`))
said.push(`ended: ${await worker.ended}`, "still here")
process.stdout.write(`${said.join("\n")}\n`)
