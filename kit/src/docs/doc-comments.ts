/**
 * Reads the doc comment above the line of source that registers a route: its first sentence is the route's summary, the
 * whole its description. Works on TypeScript as it is and on what `tsc` makes of it; a bundler drops comments.
 */
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { getCallSites } from "node:util"

export interface DocComment {
  /** The first sentence. */
  summary: string
  /** All of it. */
  description: string
}

/** Source files by path, kept while routes are registered. */
const sources = new Map<string, string[]>()

/** How many frames up the caller of a route method can stand: Fastify needs about ten. */
const depth = 40

const isFastify = (script: string) => /\/node_modules\/(fastify|avvio)\//.test(script)

/** The comment of the route that is being registered; call it in an `onRoute` hook. */
export function docComment(): DocComment | undefined {
  // Positions in the file as it lies on the disk, whatever source maps say.
  const frames = getCallSites(depth, { sourceMap: false })
  // Above us stands the hook, above it Fastify, and above that the one who called `api.get(…)`.
  const fastify = frames.findIndex(({ scriptName }) => isFastify(scriptName))
  const caller = frames.slice(fastify).find(({ scriptName }) => !isFastify(scriptName))
  if (fastify < 0 || !caller?.scriptName.startsWith("file:")) return undefined
  const path = fileURLToPath(caller.scriptName)
  return commentAbove(linesOf(path), caller.lineNumber)
}

/** Forgets the sources, once all routes are there. */
export function forgetSources(): void {
  sources.clear()
}

function linesOf(path: string): string[] {
  let lines = sources.get(path)
  if (!lines) {
    lines = readFileSync(path, "utf8").split("\n")
    sources.set(path, lines)
  }
  return lines
}

/** The doc comment that ends on the line above `line` (counted from 1), as text. */
export function commentAbove(lines: string[], line: number): DocComment | undefined {
  const end = line - 2
  if (!lines[end]?.trim().endsWith("*/")) return undefined
  let start = end
  while (start > 0 && !lines[start]!.includes("/*")) start--
  if (!lines[start]!.trim().startsWith("/**")) return undefined
  const text = lines
    .slice(start, end + 1)
    .map((one) =>
      one
        .trim()
        .replace(/^\/\*\*|\*\/$/g, "")
        .replace(/^\s*\* ?/, "")
        .trimEnd(),
    )
    .join("\n")
    .trim()
  if (!text) return undefined
  const paragraph = text
    .split(/\n\s*\n/, 1)[0]!
    .replace(/\s+/g, " ")
    .trim()
  const summary = /^.*?[.!?](?=\s|$)/.exec(paragraph)?.[0] ?? paragraph
  return { summary, description: text }
}
