/** `trestle status`: the processes of the server that runs. It reads neither the application nor the settings. */
import { join } from "node:path"
import { askControl } from "../supervisor/control.ts"
import { statusTable } from "../supervisor/status.ts"
import type { Arguments } from "./command.ts"
import { findProject } from "./project.ts"

/** A server answers at once, unless it is stopped or the machine is overloaded. */
const patienceMs = 10_000

export async function status({ flags }: Arguments): Promise<void> {
  const status = await askControl(join(findProject().folder, "data"), "status", patienceMs)
  process.stdout.write(flags.json ? `${JSON.stringify(status, null, 2)}\n` : statusTable(status, Date.now()))
}
