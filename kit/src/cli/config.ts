/** `trestle config`: each setting with its value and where it comes from; secrets are masked. */
import { effectiveSettings } from "../core/config/index.ts"
import { findProject, loadApp } from "./project.ts"

export async function config(): Promise<void> {
  const project = findProject()
  const app = await loadApp(project)
  const settings = effectiveSettings({ folder: project.folder, ...(app.config && { sections: app.config }) })
  const width = Math.max(...settings.map(({ key }) => key.length))
  for (const { key, value, from } of settings) {
    process.stdout.write(
      `${key.padEnd(width)}  ${value === undefined ? "(not set)" : JSON.stringify(value)}  ${from}\n`,
    )
  }
}
