// The published package: built, packed and installed beside a copy of the application in a project of another name,
// which passes its type check and its tests without a changed line.
import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { promisify } from "node:util"

const run = promisify(execFile)
const root = join(import.meta.dirname, "..")
/** For one step, which is ended then and named by the failure, and for all. */
const limits = { stepMs: 120_000, allMs: 300_000 }

const sentence = "a project of another name uses the packed kit: its types and its tests pass unchanged"
test(sentence, { timeout: limits.allMs }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "package-"))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const [built, project] = [join(folder, "built"), join(folder, "cinema")]
  const env = plainEnvironment()
  const npm = { cwd: project, env, maxBuffer: 16 << 20, timeout: limits.stepMs }
  mkdirSync(project)

  await run(process.execPath, [join(root, "kit/build.ts"), built], { env })
  const packed = await run("npm", ["pack", built, "--json"], npm)
  const { filename, files } = JSON.parse(packed.stdout)[0]
  const paths = files.map((file: { path: string }) => file.path)
  for (const path of ["LICENSE", "bin/trestle.js", "dist/cli/main.js", "dist/index.d.ts", "node24/package-lock.json"]) {
    assert.ok(paths.includes(path), `the package has no ${path}`)
  }
  const sources = paths.filter((path: string) => /\.ts$/.test(path) && !path.endsWith(".d.ts"))
  assert.deepEqual(sources, [], "the package has TypeScript sources")

  const { type, devDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
  const manifest = {
    name: "cinema",
    private: true,
    type,
    dependencies: { trestle: `file:${filename}` },
    devDependencies: { "@types/node": devDependencies["@types/node"] },
  }
  writeFileSync(join(project, "package.json"), JSON.stringify(manifest))
  for (const name of ["app", "test", "tsconfig.json", "config.json"]) {
    if (existsSync(join(root, name))) cpSync(join(root, name), join(project, name), { recursive: true })
  }
  const offline = ["--prefer-offline", "--fetch-retries=0"]
  await run("npm", ["install", ...offline, "--no-audit", "--no-fund", "--ignore-scripts"], npm)
  // The compiler is large: this repository's.
  symlinkSync(join(root, "node_modules/typescript"), join(project, "node_modules/typescript"))

  // Declarations that lost their types would let everything pass: these must be refused, and nothing else.
  const mistakes = `import type { Api, JobContext } from "trestle"
export const wrong = (api: Api) => api.db.selectFrom("no_such_table")
export const alsoWrong = ({ webhooks }: JobContext) => webhooks.list({ nobody: true })
`
  writeFileSync(join(project, "app/mistake.ts"), mistakes)
  const compiled = run(process.execPath, [join(project, "node_modules/typescript/bin/tsc"), "--noEmit"], npm)
  const tests = run(join(project, "node_modules/.bin/trestle"), ["test"], npm)
  const [refused, passed] = await Promise.allSettled([compiled, tests])
  if (passed.status === "rejected") assert.fail(`${passed.reason.stdout}\n${passed.reason.stderr}`)
  assert.match(passed.value.stdout, /pass [1-9]/)
  assert.ok(refused.status === "rejected")
  const problems = (refused.reason.stdout as string).split("\n").filter((line) => /^\S/.test(line))
  assert.equal(problems.length, 2, refused.reason.stdout)
  assert.match(problems[0]!, /^app\/mistake\.ts\(2,.*no_such_table/)
  assert.match(problems[1]!, /^app\/mistake\.ts\(3,.*'nobody'/)
})

/**
 * Without what the outer npm and test runner tell their children, since this is another project with a runner of its own; but
 * with what says how to reach the registry, and where npm's own settings are.
 */
function plainEnvironment(): NodeJS.ProcessEnv {
  const reach =
    /^npm_config_(registry|(https?_)?proxy|no_?proxy|ca|cafile|cert|key|strict_ssl|cache|(user|global)config)$/i
  const isOuter = (name: string) => /^(npm_|NODE_TEST_|INIT_CWD$)/i.test(name) && !reach.test(name)
  const entries = Object.entries(process.env).filter(([name]) => !isOuter(name))
  return Object.fromEntries(entries)
}
