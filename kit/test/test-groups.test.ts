// @together
/** Test files that share a process: which do, and that none of them hides another. */
import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { availableParallelism, tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { type TestContext, test } from "node:test"
import { withGroups } from "../src/cli/test-groups.ts"

/** A project of these files. */
function project(t: TestContext, files: Record<string, string>) {
  const top = mkdtempSync(join(tmpdir(), "trestle-groups-"))
  t.after(() => rmSync(top, { recursive: true, force: true }))
  const [folder, scratch] = [join(top, "my [project]"), join(top, "scratch")]
  mkdirSync(scratch)
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
  return { folder, group: (...words: string[]) => withGroups(words, folder, scratch) }
}

/** Runs them as `trestle test` does; `processes` has what each test said of itself. */
async function run(folder: string, words: string[]) {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const args = ["--test", "--test-reporter=tap", ...words]
  const out = await new Promise<string>((resolve) =>
    execFile(process.execPath, args, { cwd: folder, env }, (_, text) => resolve(text)),
  )
  const count = (what: string) => Number(new RegExp(`^# ${what} (\\d+)`, "m").exec(out)?.[1])
  return {
    out,
    processes: Object.fromEntries([...out.matchAll(/^# (\w+) in (\d+)$/gm)].map(([, name, pid]) => [name, pid])),
    passed: count("pass"),
    failed: count("fail"),
  }
}

const saysIts = (name: string) =>
  `import { test } from "node:test"\ntest("${name}", () => console.log("${name} in", process.pid))\n`
const together = "// @together\n"

test("files that say so share as many processes as there are cores, and the others have one each", async (t) => {
  const names = Array.from({ length: 2 * availableParallelism() }, (_, i) => `shared${i}`)
  const { folder, group } = project(t, {
    ...Object.fromEntries(names.map((name) => [`test/${name}.test.ts`, together + saysIts(name)])),
    "test/alone.test.ts": saysIts("alone"),
    "test/deep [1]/{a}*?(b).test.ts": `// Not @together.\n${saysIts("strange")}`,
    "test/node_modules/other/other.test.ts": together + saysIts("other"),
  })
  const { processes, passed, failed, out } = await run(folder, group("test/**/*.test.{ts,js}"))
  assert.deepEqual([passed, failed], [names.length + 2, 0], out)
  assert.equal(new Set(names.map((name) => processes[name])).size, availableParallelism())
  assert.equal(new Set(Object.values(processes)).size, availableParallelism() + 2)
  assert.deepEqual(Object.keys(processes).sort(), [...names, "alone", "strange"].sort())
})

test("a file that fails, or cannot be loaded, is told and hides none of the others", async (t) => {
  const { folder, group } = project(t, {
    "test/1.test.ts": `${together}${saysIts("first")}\nawait Promise.reject(new Error("not loaded"))`,
    "test/2.test.ts": `${together}this is no TypeScript`,
    "test/3.test.ts": `${together}import { test } from "node:test"\ntest("third", () => { throw new Error("wrong") })`,
    "test/4.test.ts": together + saysIts("fourth"),
    "test/5.test.ts": together + saysIts("fifth"),
  })
  const { out, passed, failed } = await run(folder, group("test/*.test.ts"))
  assert.deepEqual([passed, failed], [3, 3], out)
  for (const name of ["test/1.test.ts", "test/2.test.ts", "third"])
    assert.match(out, new RegExp(`not ok \\d+ - ${name}`))
  for (const reason of ["not loaded", "ERR_INVALID_TYPESCRIPT_SYNTAX", "wrong"]) assert.ok(out.includes(reason), out)
})

test("flags, patterns that fit nothing and a single file stay as they were", (t) => {
  const { group } = project(t, { "a.test.ts": together, "b.test.ts": "", "c.test.ts": together })
  for (const words of [
    ["--test-only", "a.test.ts"],
    ["b.test.ts", "none.test.ts"],
    ["--test-name-pattern", "a|b", "b.test.ts"],
  ]) {
    assert.deepEqual(group(...words), words)
  }
  const [flag, alone, ...groups] = group("--test-only", "*.test.ts")
  assert.deepEqual([flag, alone], ["--test-only", "b.test.ts"])
  const text = groups.map((path) => readFileSync(path, "utf8")).join("")
  assert.match(text, /a\.test\.ts/)
})
