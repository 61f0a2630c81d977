// Holds the shape of the code: imports run one way, the application knows only the kit's public exports, and names say
// what a file does. docs/decisions and CONTRIBUTING say why; this file is the list that is enforced.
import { posix } from "node:path"
import { type Findings, projectFiles } from "./project.ts"

/** Each may import those before it. `app.ts` says what routes are written with, so whoever has routes comes after it. */
const chain = ["core", "db", "store", "jobs", "mail", "webhooks", "app.ts", "auth"]
const besideEachOther = ["http", "docs", "ops"]
const assembly = "server.ts and its like"

/** Which parts of kit/src each part may import, besides itself. A file directly in kit/src belongs to the assembly. */
const mayImport: Record<string, string[]> = {
  ...Object.fromEntries(chain.map((part, place) => [part, chain.slice(0, place)])),
  ...Object.fromEntries(besideEachOther.map((part) => [part, chain])),
  supervisor: ["core", "db"],
  [assembly]: [...chain, ...besideEachOther],
  "index.ts": [...chain, ...besideEachOther, assembly],
  "testing.ts": [...chain, ...besideEachOther, assembly, "supervisor"],
  cli: [...chain, ...besideEachOther, assembly, "supervisor"],
}

/**
 * What only starts and watches others, and what it would load for nothing if one import led there: a fourth of the time of a
 * start, and 30 MB.
 */
const light = ["kit/src/cli/start.ts", "kit/src/cli/dev.ts"]
const heavy = "kit/src/server.ts"

const refusedNames = ["util", "utils", "helper", "helpers", "types", "interfaces", "manager", "service"]
const longFile = 300

/** Every rule, on the files of the repository. */
export function checkArchitecture(): Findings {
  // kit/assets holds other people's scripts, as they publish them.
  const files = projectFiles("{app,test,bench,kit}/**/*.{ts,js}")
  return findInFiles(new Map([...files].filter(([path]) => !path.startsWith("kit/assets/"))))
}

/** Every rule, on files given by path from the root: no file is read, so that wrong trees can be tried. */
export function findInFiles(files: Map<string, string>): Required<Findings> {
  const imports = new Map([...files].map(([path, text]) => [path, importsOf(path, text)]))
  const problems: string[] = []
  const warnings: string[] = []
  for (const [path, text] of files) {
    problems.push(...nameProblems(path), ...exportProblems(path, text))
    for (const imported of imports.get(path)!) {
      const problem = path.startsWith("kit/src/") ? kitProblem(path, imported) : outsideProblem(path, imported)
      if (problem !== undefined) problems.push(`${path} imports ${imported}: ${problem}`)
    }
    const lines = text.trimEnd().split("\n").length
    if (lines > longFile) warnings.push(`${path} has ${lines} lines: split it (at 200 ask, at ${longFile} split)`)
  }
  for (const path of files.keys()) {
    if (path.startsWith("kit/src/") && mayImport[partOf(path)] === undefined) {
      problems.push(`${path}: kit/src/${partOf(path)}/ has no place in the order of capabilities: add it to ${here}`)
    }
  }
  for (const path of light) problems.push(...heavyProblems(path, imports))
  problems.push(...cycles(imports).map((cycle) => `import cycle: ${cycle.join(" → ")}`))
  return { problems: [...new Set(problems)], warnings }
}

const here = "kit/checks/architecture.ts"

/** What a file imports: paths from the root where the import is relative, names of packages as they are. */
function importsOf(path: string, text: string): string[] {
  const code = text.replace(/^\s*(\*|\/\*|\/\/).*$/gm, "")
  const statements = code.matchAll(
    /^\s*(?:import|export)\b[^"'`;=()]*?\bfrom\s*["']([^"']+)["']|^\s*import\s*["']([^"']+)["']/gm,
  )
  const calls = code.matchAll(/\bimport\(\s*["']([^"']+)["']/g)
  const named = [...[...statements].filter((match) => !isQuoted(code, match.index)), ...calls].map(
    (match) => match[1] ?? match[2]!,
  )
  const resolved = named.map((name) => (name.startsWith(".") ? posix.join(posix.dirname(path), name) : name))
  return [...new Set(resolved)]
}

/** Whether the place is inside a template: code that the file writes is not its own. */
function isQuoted(code: string, index: number): boolean {
  return (code.slice(0, index).match(/(?<!\\)`/g)?.length ?? 0) % 2 === 1
}

function partOf(path: string): string {
  const [first, ...rest] = path.slice("kit/src/".length).split("/")
  if (rest.length > 0) return first!
  return mayImport[first!] === undefined ? assembly : first!
}

function kitProblem(path: string, imported: string): string | undefined {
  if (imported === "trestle" || imported.startsWith("trestle/")) return "the kit imports its own files by their paths"
  if (!isPath(imported) || imported === "kit/package.json") return undefined
  if (!imported.startsWith("kit/src/")) return "the published kit has nothing but kit/src"
  const [from, to] = [partOf(path), partOf(imported)]
  if (to === "index.ts") return "index.ts is for applications; import the file that it exports from"
  if (from === to) return undefined
  const allowed = mayImport[from]
  if (allowed === undefined || allowed.includes(to)) return undefined
  if (besideEachOther.includes(from) && besideEachOther.includes(to)) {
    return `${besideEachOther.join(", ")} do not know each other; they meet in server.ts`
  }
  return `imports run one way, and ${from} may import ${allowed.length === 0 ? "nothing" : `only ${allowed.join(", ")}`}`
}

/** The application and its tests stay free to move to the published package: they see nothing but its exports. */
function outsideProblem(path: string, imported: string): string | undefined {
  if (!/^(app|test)\//.test(path)) return undefined
  if (imported.startsWith("kit/") || imported.startsWith(".."))
    return 'import from "trestle" or "trestle/testing" instead'
  if (!imported.startsWith("trestle/") || imported === "trestle/testing") return undefined
  return 'the kit exports "trestle" and "trestle/testing", nothing deeper'
}

/** A relative import was resolved to a path from the root; a package has no such first folder. */
function isPath(imported: string): boolean {
  return /^(\.\.|app|test|bench|kit)(\/|$)/.test(imported)
}

function nameProblems(path: string): string[] {
  const parts = path.split("/")
  const file = parts.at(-1)!
  const isMigration = /migrations$/.test(parts.at(-2) ?? "") && /^\d{3}_[a-z0-9_]+\.ts$/.test(file)
  const problems: string[] = []
  if (!isMigration && !/^[a-z0-9]+(-[a-z0-9]+)*(\.test|\.d)?\.(ts|js)$/.test(file)) {
    problems.push(`${path}: file names are kebab-case`)
  }
  for (const part of file.endsWith(".test.ts") ? parts.slice(0, -1) : parts) {
    const last = part.replace(/\..*$/, "").split("-").at(-1)!
    if (refusedNames.includes(last)) problems.push(`${path}: "${last}" says nothing; name what it does`)
  }
  return problems
}

function exportProblems(path: string, text: string): string[] {
  // The kit's tests have applications of their own.
  if (path === "app/app.ts" || path.startsWith("kit/test/")) return []
  const hasDefault = /^export\s+default\b/m.test(text) || /^export\s*\{[^}]*\bdefault\b[^}]*\}/m.test(text)
  return hasDefault ? [`${path}: no default export; only app/app.ts has one`] : []
}

function heavyProblems(path: string, imports: Map<string, string[]>): string[] {
  const trails = new Map([[path, [path]]])
  // A Map goes on with what is added meanwhile, so the shortest way comes first.
  for (const [from, trail] of trails) {
    if (from === heavy) return [`${trail.join(" → ")}: this process only starts others and should not load the server`]
    for (const to of imports.get(from) ?? []) if (!trails.has(to)) trails.set(to, [...trail, to])
  }
  return []
}

/** Each cycle once, starting at its first file in the alphabet. */
function cycles(imports: Map<string, string[]>): string[][] {
  const found = new Map<string, string[]>()
  const done = new Set<string>()
  const visit = (path: string, trail: string[]) => {
    const start = trail.indexOf(path)
    if (start >= 0) {
      const loop = trail.slice(start)
      const first = loop.indexOf([...loop].sort()[0]!)
      const cycle = [...loop.slice(first), ...loop.slice(0, first), loop[first]!]
      found.set(cycle.join(), cycle)
      return
    }
    if (done.has(path)) return
    for (const next of imports.get(path) ?? []) visit(next, [...trail, path])
    done.add(path)
  }
  for (const path of [...imports.keys()].sort()) visit(path, [])
  return [...found.values()]
}
