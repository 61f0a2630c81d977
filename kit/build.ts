// `npm run build`: makes the publishable package in kit/dist (or in the folder that is given). It holds what this
// folder holds, with dist/ in the place of src/, so that paths relative to a file stay the same.
import { cpSync, existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"
import { runTool } from "./checks/project.ts"

const kit = import.meta.dirname
const folder = resolve(process.argv[2] ?? join(kit, "dist"))

rmSync(folder, { recursive: true, force: true })
mkdirSync(folder, { recursive: true })
const { failed, output } = await runTool("tsc", [
  "-p",
  join(kit, "tsconfig.build.json"),
  "--outDir",
  join(folder, "dist"),
])
if (failed) fail(output)

const declarations = globSync("dist/**/*.d.ts", { cwd: folder }).map((path) => join(folder, path))
for (const file of declarations) namesOfJavaScript(file)
reachAugmentations(join(folder, "dist/index.d.ts"))
for (const asset of globSync("**/*.*", { cwd: join(kit, "src") })) {
  if (!asset.endsWith(".ts")) copy(join(kit, "src", asset), join("dist", asset))
}
for (const part of ["bin", "assets"]) {
  if (existsSync(join(kit, part))) copy(join(kit, part), part)
}
copy(join(kit, "node24/package.json"), "node24/package.json")
copy(join(kit, "node24/package-lock.json"), "node24/package-lock.json")
for (const file of ["README.md", "LICENSE", "CHANGELOG.md"]) {
  const source = [join(kit, file), join(kit, "..", file)].find((path) => existsSync(path))
  if (source !== undefined) copy(source, file)
}
writeFileSync(join(folder, "package.json"), `${JSON.stringify(publishedManifest(), null, 2)}\n`)
console.log(`built ${folder}`)

function fail(message: string): never {
  console.error(message)
  process.exit(1)
}

function copy(source: string, target: string): void {
  mkdirSync(dirname(join(folder, target)), { recursive: true })
  cpSync(source, join(folder, target), { recursive: true })
}

/** tsc rewrites `./a.ts` to `./a.js` in JavaScript only; a declaration that names a missing file means `any`, silently. */
function namesOfJavaScript(file: string): void {
  const relativeName = /((?:\bfrom|\bimport|\bimport\(|\bmodule)\s*["']\.{1,2}\/[^"']*)\.ts(["'])/g
  const lines = readFileSync(file, "utf8").split("\n")
  const changed = lines.map((line) => (/^\s*\*/.test(line) ? line : line.replace(relativeName, "$1.js$2")))
  writeFileSync(file, changed.join("\n"))
}

/**
 * Makes what files add to other packages' types (`request.user`) known to applications: in this repository the compiler
 * reads every file, in a package only those that index.d.ts leads to, and an import for types alone leaves no trace.
 */
function reachAugmentations(index: string): void {
  const augmenting = declarations.filter((file) => /^declare module "/m.test(readFileSync(file, "utf8")))
  const imports = augmenting.map((file) => `import "./${relative(dirname(index), file).replace(/\.d\.ts$/, ".js")}";\n`)
  writeFileSync(index, readFileSync(index, "utf8") + imports.sort().join(""))
}

/** The manifest of the kit with the places of the built files, and without what only this repository needs. */
function publishedManifest() {
  const { devDependencies, dependencies, exports, ...rest } = JSON.parse(
    readFileSync(join(kit, "package.json"), "utf8"),
  )
  const built = Object.entries<string>(exports).map(([name, source]) => {
    const path = source.replace("./src/", "./dist/").replace(/\.ts$/, "")
    return [name, { types: `${path}.d.ts`, default: `${path}.js` }]
  })
  return {
    ...rest,
    exports: Object.fromEntries(built),
    files: ["assets", "bin", "dist", "node24", "CHANGELOG.md"],
    dependencies: { ...dependencies, ...typesOfDependencies(devDependencies) },
    // The declarations name things of Node. Every TypeScript project has chosen its @types/node already: not a second one.
    peerDependencies: { "@types/node": "*" },
    peerDependenciesMeta: { "@types/node": { optional: true } },
  }
}

/** Types that come apart from their package (`@types/pg`) and that the declarations name: an application needs them too. */
function typesOfDependencies(candidates: Record<string, string>): Record<string, string> {
  const text = declarations.map((file) => readFileSync(file, "utf8")).join("\n")
  const needed = Object.entries(candidates).filter(([name]) => text.includes(`"${name.replace("@types/", "")}"`))
  return Object.fromEntries(needed)
}
