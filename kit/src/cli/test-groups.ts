/**
 * Test files that share a process. Loading an application takes longer than the tests of many a file, and Node starts a process
 * for each. Those whose first line is `// @together` are dealt out to as many processes as there are cores, and run there one after
 * the other.
 */
import { globSync, readFileSync, writeFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import { basename, join, resolve } from "node:path"
import { pathToFileURL } from "node:url"

/**
 * What Node's test runner is given in the place of these words, its flags and the patterns of files. `scratch` is a folder for the
 * files that stand for the groups.
 */
export function withGroups(words: string[], folder: string, scratch: string): string[] {
  const together = new Set<string>()
  const others = words.flatMap((word) => {
    const files = word.startsWith("-") ? [] : globSync(word, { cwd: folder, exclude: isPackage })
    const alone = files.filter((file) => !sharesProcess(resolve(folder, file)))
    // Of a pattern that fits nothing Node says so.
    if (alone.length === files.length) return [word]
    for (const file of files) if (!alone.includes(file)) together.add(file)
    return alone.map(literally)
  })
  if (together.size < 2) return words
  const groups: string[][] = Array.from({ length: Math.min(availableParallelism(), together.size) }, () => [])
  for (const [i, file] of [...together].sort().entries()) groups[i % groups.length]!.push(file)
  return [
    ...others,
    ...groups.map((files, i) => {
      const path = join(scratch, `together-${i + 1}.test.mjs`)
      writeFileSync(path, textOf(files, folder))
      return path
    }),
  ]
}

const isPackage = (path: string): boolean => basename(path) === "node_modules"

const sharesProcess = (file: string): boolean => readFileSync(file, "utf8").startsWith("// @together\n")

/** A pattern for this name alone, whatever is in it. */
const literally = (file: string): string => file.replace(/[*?[{(]/g, "[$&]")

/** A file that cannot be loaded is a failed test, and the others run. */
const textOf = (files: string[], folder: string): string => `import { test } from "node:test"

const files = ${JSON.stringify(
  files.map((file) => [file, pathToFileURL(resolve(folder, file)).href]),
  null,
  2,
)}
for (const [name, url] of files) await import(url).catch((error) => void test(name, () => Promise.reject(error)))
`
