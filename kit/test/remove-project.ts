import { realpathSync, rmSync } from "node:fs"
import { join } from "node:path"

/** Removes the folder of a project, and its database, which lies elsewhere when root started it. */
export function removeProject(folder: string): void {
  try {
    rmSync(realpathSync(join(folder, "data", "postgres")), { recursive: true, force: true })
  } catch {
    // It never had one.
  }
  rmSync(folder, { recursive: true, force: true })
}
