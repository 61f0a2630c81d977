// What the checks know of the repository: its folder, its files, and the tools that are installed in it.
import { execFile } from "node:child_process"
import { existsSync, globSync, readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

/** The repository's folder. */
export const root = fileURLToPath(new URL("../..", import.meta.url))

/** What a check found. It failed when there are problems; warnings are only printed. */
export type Findings = { problems: string[]; warnings?: string[] }

const neverOurs = ["node_modules", "dist", "data", "logs", "coverage"]

/** The files that match, by path from the root with `/`; never those that are installed, built or made by a server. */
export function projectFiles(...patterns: string[]): Map<string, string> {
  const exclude = (path: string) =>
    path.split("/").some((part) => neverOurs.includes(part) || part.startsWith("installed-"))
  const paths = globSync(patterns, { cwd: root, exclude }).sort()
  return new Map(paths.map((path) => [path, readFileSync(join(root, path), "utf8")]))
}

/** Runs a tool of node_modules on this Node, at the root; its output is what it printed on both streams. */
export function runTool(name: "biome" | "tsc", args: string[]): Promise<{ failed: boolean; output: string }> {
  const packageName = { biome: "@biomejs/biome", tsc: "typescript" }[name]
  const manifest = createRequire(import.meta.url).resolve(`${packageName}/package.json`)
  const program = join(dirname(manifest), JSON.parse(readFileSync(manifest, "utf8")).bin[name])
  return new Promise((resolve) => {
    execFile(process.execPath, [program, ...args], { cwd: root, maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
      resolve({ failed: error !== null, output: (stdout + stderr).trim() })
    })
  })
}

/** The names in the root folder that git tracks; without git, those that are there and not ignored. */
export async function topLevelNames(): Promise<string[]> {
  const tracked = await new Promise<string | undefined>((resolve) => {
    execFile("git", ["ls-files"], { cwd: root, maxBuffer: 64 << 20 }, (error, stdout) => {
      resolve(error === null && stdout !== "" ? stdout : undefined)
    })
  })
  if (tracked !== undefined)
    return [
      ...new Set(
        tracked
          .trim()
          .split("\n")
          .map((path) => path.split("/")[0]!),
      ),
    ]
  const ignored = ignoredNames()
  return globSync(["*", ".*"], { cwd: root }).filter((name) => name !== ".git" && !ignored.includes(name))
}

/** The plain names in .gitignore: what a running project has in it although a fresh clone has not. */
export function ignoredNames(): string[] {
  const file = join(root, ".gitignore")
  if (!existsSync(file)) return []
  return readFileSync(file, "utf8")
    .split("\n")
    .map((line) => line.replace(/\/$/, ""))
    .filter((name) => /^[\w.-]+$/.test(name))
}
