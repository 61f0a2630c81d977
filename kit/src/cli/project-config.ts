/** The settings of a project: the kit's and the application's own. */
import type { App } from "../app.ts"
import { type Config, loadConfig } from "../core/config/index.ts"
import { BootError } from "../core/errors.ts"
import type { Mode } from "../core/mode.ts"
import type { Project } from "./project.ts"

export function configOf(project: Project, app: App, mode: Mode): Config {
  const config = loadConfig({ folder: project.folder, ...(app.config && { sections: app.config }) })
  if (config.logging.sql === "values" && mode === "production") {
    throw new BootError('LOG_SQL=values prints what users wrote, so it works under "trestle dev" only. Set LOG_SQL=1.')
  }
  return config
}
