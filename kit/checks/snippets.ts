// The TypeScript in the documentation. A block that names a file must stand in it; any other must pass the compiler.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { join, relative } from "node:path"
import { type Block, type Page, readPage } from "./markdown.ts"
import { root, runTool } from "./project.ts"

/** Blocks of a page that name a file in their first line (`// app/app.ts`) and show what is not in it. */
export function quotedBlockProblems(
  path: string,
  page: Page,
  project: { exists: (path: string) => boolean; read: (path: string) => string },
): string[] {
  const problems: string[] = []
  for (const block of page.blocks) {
    const file = quotedFile(block)
    if (file === undefined) continue
    if (!project.exists(file)) {
      problems.push(`${path}:${block.line}: this shows ${file}, which is not there`)
      continue
    }
    const shown = block.text.split("\n").slice(1).join(" ")
    if (!inOneLine(project.read(file)).includes(inOneLine(shown))) {
      problems.push(`${path}:${block.line}: this is not what ${file} says`)
    }
  }
  return problems
}

/**
 * What the compiler says of all other blocks. They are compiled below node_modules of the root, so that they find
 * packages as the application does and no other check sees them.
 */
export async function snippetProblems(pages: Map<string, string>): Promise<string[]> {
  const parent = join(root, "node_modules/.cache")
  mkdirSync(parent, { recursive: true })
  const folder = mkdtempSync(join(parent, "snippets-"))
  try {
    const origins = new Map<string, { path: string; line: number }>()
    for (const [path, text] of pages) {
      for (const block of readPage(text).blocks) {
        if (block.language !== "ts" || quotedFile(block) !== undefined) continue
        const name = `snippet-${origins.size + 1}.ts`
        origins.set(name, { path, line: block.line })
        writeFileSync(join(folder, name), `${block.text}\nexport {}\n`)
      }
    }
    if (origins.size === 0) return []
    // What examples know: the application's tables, and what the kit adds to Fastify.
    const shared = ["app", "kit/src"].map((path) => relative(folder, join(root, path)))
    // An example may declare what it does not use.
    const compilerOptions = { noEmit: true, noUnusedLocals: false, noUnusedParameters: false }
    const config = {
      extends: relative(folder, join(root, "tsconfig.json")),
      compilerOptions,
      include: ["*.ts", ...shared],
      exclude: [],
    }
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config))
    const { failed, output } = await runTool("tsc", ["--pretty", "false", "-p", folder])
    return failed ? output.split("\n").map((line) => atOrigin(line, origins)) : []
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Says a compiler's line with the place in the page instead of that in the temporary file. */
function atOrigin(line: string, origins: Map<string, { path: string; line: number }>): string {
  const match = /(snippet-\d+\.ts)\((\d+),\d+\): (.*)$/.exec(line)
  const origin = match === null ? undefined : origins.get(match[1]!)
  return origin === undefined ? line : `${origin.path}:${origin.line + Number(match![2]) - 1}: ${match![3]}`
}

/** The file of this repository that a block says it is from: `// app/movies/schema.ts` in its first line. */
function quotedFile(block: Block): string | undefined {
  return block.language === "ts" ? /^\s*\/\/\s+((?:app|test|kit)\/\S+\.ts)\b/.exec(block.text)?.[1] : undefined
}

function inOneLine(text: string): string {
  return text.replace(/\s+/g, " ").trim()
}
