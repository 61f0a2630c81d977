/** `trestle reload`: new code, settings and certificates for the server that runs. Waits until it is done, or refused. */
import { join } from "node:path"
import { askControl } from "../supervisor/control.ts"
import { findProject } from "./project.ts"

/** Processes are replaced one by one, and each may take its time to end. */
const patienceMs = 5 * 60_000

export async function reload(): Promise<void> {
  const { app, url, generation } = await askControl(join(findProject().folder, "data"), "reload", patienceMs)
  process.stdout.write(`Reloaded: ${app} at ${url}, generation ${generation}.\n`)
}
