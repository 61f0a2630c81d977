/** The project that a command works on: the nearest folder with a package.json, and the application that it names. */
import { existsSync, readFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { pathToFileURL } from "node:url"
import type { App } from "../app.ts"
import { BootError } from "../core/errors.ts"

export interface Project {
  folder: string
  /** The file that exports the application: `main` in package.json. */
  main: string
  /** Where the embedded database lives. */
  databaseFolder: string
}

/** Finds the project that `start` lies in. */
export function findProject(start = process.cwd()): Project {
  for (let folder = resolve(start); ; folder = dirname(folder)) {
    const manifest = join(folder, "package.json")
    if (existsSync(manifest)) {
      const { main = "app/app.ts" } = readManifest(manifest)
      return { folder, main: resolve(folder, main), databaseFolder: join(folder, "data", "postgres") }
    }
    if (dirname(folder) === folder)
      throw new BootError(`There is no package.json in ${start} or above. Run this in a project.`)
  }
}

function readManifest(file: string): { main?: string } {
  try {
    return JSON.parse(readFileSync(file, "utf8"))
  } catch (cause) {
    throw new BootError(`${file} is not JSON: ${(cause as Error).message}`, { cause })
  }
}

/** Loads the application. An error in its code keeps its stack, which says where. */
export async function loadApp({ main }: Project): Promise<App> {
  if (!existsSync(main)) {
    throw new BootError(`There is no application at ${main}. Name its file as "main" in package.json.`)
  }
  const module = await import(pathToFileURL(main).href)
  const app = module.default as App | undefined
  if (!app?.routes || !app.folder) {
    throw new BootError(`${main} exports no application. Write: export default defineApp({ … })`)
  }
  return app
}
