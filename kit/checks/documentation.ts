// Holds the documentation true: links lead somewhere, the README's tree is the tree, commands exist. The code in it is
// checked in snippets.ts.
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join, posix } from "node:path"
import { type Block, readPage } from "./markdown.ts"
import { type Findings, ignoredNames, projectFiles, root, topLevelNames } from "./project.ts"
import { quotedBlockProblems, snippetProblems } from "./snippets.ts"

/** What a page is measured against. */
export type Project = {
  exists: (path: string) => boolean
  read: (path: string) => string
  /** What the README's tree has to name. */
  topLevel: string[]
  /** What it may name although it is not in a fresh clone. */
  ignored: string[]
  scripts: string[]
  commands: string[]
}

/** What the code on the pages is taken from, and compiled with. */
const example = "app/movies/schema.ts"

/** Every page of the repository. The code on them only as long as the example is there that it shows. */
export async function checkDocumentation(): Promise<Findings> {
  const pages = projectFiles("README.md", "CONTRIBUTING.md", "kit/README.md", "docs/**/*.md")
  const project: Project = {
    exists: (path) => existsSync(join(root, path)),
    read: (path) => readFileSync(join(root, path), "utf8"),
    topLevel: await topLevelNames(),
    ignored: ignoredNames(),
    scripts: Object.keys(JSON.parse(readFileSync(join(root, "package.json"), "utf8")).scripts),
    commands: commandNames(),
  }
  const problems = findInPages(pages, project)
  if (project.exists(example)) {
    for (const [path, text] of pages) problems.push(...quotedBlockProblems(path, readPage(text), project))
    return { problems: [...problems, ...(await snippetProblems(pages))] }
  }
  return {
    problems,
    warnings: [`${example} is not there, so the code on the pages, which shows it, was not looked at`],
  }
}

/** Links, the tree and commands, on pages given by path from the root. */
export function findInPages(pages: Map<string, string>, project: Project): string[] {
  const problems: string[] = []
  for (const [path, text] of pages) {
    const page = readPage(text)
    for (const { target, line } of page.links) {
      const problem = linkProblem(path, target, pages, project)
      if (problem !== undefined) problems.push(`${path}:${line}: ${problem}`)
    }
    for (const block of page.blocks) {
      const isPlain = block.language === "" || block.language === "text"
      if (path === "README.md" && isPlain && /\btree\b|what is where/i.test(block.heading)) {
        problems.push(...treeProblems(block, project).map(({ line, problem }) => `${path}:${line}: ${problem}`))
      }
      if (block.language === "sh") {
        problems.push(...commandProblems(block.text, project).map((problem) => `${path}:${block.line}: ${problem}`))
      }
    }
  }
  return problems
}

/** The kit has one file per command in src/cli; `token-new.ts` belongs to `token`. */
function commandNames(): string[] {
  const folder = join(root, "kit/src/cli")
  const files = existsSync(folder) ? readdirSync(folder) : []
  return ["node", ...files.flatMap((file) => [file.replace(/\.ts$/, ""), file.split(/[-.]/)[0]!])]
}

function linkProblem(from: string, target: string, pages: Map<string, string>, project: Project): string | undefined {
  if (/^[a-z][a-z+.-]*:|^\/\//i.test(target)) return undefined
  const [path = "", anchor] = decodeURI(target).split("#")
  const start = path.startsWith("/") ? "" : posix.dirname(from)
  const file = path === "" ? from : posix.join(start, path).replace(/\/$/, "")
  if (!pages.has(file) && !project.exists(file)) return `the link ${target} leads nowhere`
  if (!anchor || !file.endsWith(".md")) return undefined
  const { anchors } = readPage(pages.get(file) ?? project.read(file))
  return anchors.has(anchor) ? undefined : `the link ${target} names a heading that ${file} has not`
}

const selfEvident = ["README.md", ".gitignore"]

/**
 * The tree is written as one name per line, children indented; more names may follow in a line, and what follows two
 * spaces is prose, in which a name may stand too: beside its line, below it or at the root.
 */
function treeProblems({ text, line: start }: Block, project: Project): { line: number; problem: string }[] {
  const problems: { line: number; problem: string }[] = []
  const named = new Set<string>()
  const trail: { indent: number; folder: string }[] = []
  for (const [number, line] of text.split("\n").entries()) {
    const say = (problem: string) => problems.push({ line: start + number, problem })
    const indent = /^[\s│├└─|]*/.exec(line)![0].length
    const [first, ...others] = line
      .slice(indent)
      .trim()
      .split(/[\s,·]+/)
    if (!first || first === "." || !isTreeName(first, indent)) continue
    while (trail.length > 0 && trail.at(-1)!.indent >= indent) trail.pop()
    const folder = trail.at(-1)?.folder ?? ""
    const path = posix.join(folder, first).replace(/\/$/, "")
    trail.push({ indent, folder: path })
    const known = (name: string) => project.exists(name) || project.ignored.includes(name)
    const places = (name: string) =>
      [posix.join(folder, name), posix.join(path, name), name].map((it) => it.replace(/\/$/, ""))
    if (!known(path) && !project.ignored.includes(posix.basename(path)))
      say(`the tree names ${path}, which is not there`)
    if (indent === 0) named.add(path.split("/")[0]!)
    for (const other of others) {
      if (indent === 0) named.add(other.replace(/\/$/, ""))
      if (looksLikePath(other) && !places(other).some(known)) say(`the tree names ${other}, which is not there`)
    }
  }
  const missing = project.topLevel.filter((name) => !named.has(name) && !selfEvident.includes(name))
  return [...problems, ...missing.map((name) => ({ line: start, problem: `the tree does not name ${name}` }))]
}

/** The line's first word is a name unless it only goes on with the prose of the line above it. */
function isTreeName(word: string, indent: number): boolean {
  return looksLikePath(word) || /^[A-Z]+$/.test(word) || (indent === 0 && /^[\w.-]+$/.test(word))
}

function looksLikePath(word: string): boolean {
  return /^[\w.@/-]+\/$|^[\w./-]+\.(ts|js|json|md|html|txt|ya?ml|ico|css)$/.test(word)
}

const ofNpm = "ci install i init exec pack publish version view outdated update audit ls uninstall link login".split(
  " ",
)

function commandProblems(text: string, project: Project): string[] {
  const commands = text
    .split("\n")
    .filter((line) => !line.trimStart().startsWith("#"))
    .join("\n")
  const problems: string[] = []
  for (const [, name] of commands.matchAll(/\bnpm run ([\w:-]+)/g)) {
    if (!project.scripts.includes(name!)) problems.push(`npm run ${name}: there is no such script`)
  }
  for (const [, name] of commands.matchAll(/\bnpm (?!run\b)([a-z][\w-]*)/g)) {
    if (!project.scripts.includes(name!) && !ofNpm.includes(name!))
      problems.push(`npm ${name}: there is no such script`)
  }
  for (const [, name] of commands.matchAll(/\b(?:npx|npm exec) trestle ([a-z][\w-]*)/g)) {
    if (!project.commands.includes(name!)) problems.push(`npx trestle ${name}: there is no such command`)
  }
  return problems
}
