/** How a server ends: whoever asks it to, requests are answered first, the exit code is 0, and nothing is left running. */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { mkdir, watch } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { ledgersOf } from "../src/db/migrations.ts"
import { createTestDatabase } from "../src/db/test-database.ts"
import { makeProject, urlOf } from "./project.ts"

/** Its one request is answered when the test says so. */
const application = `import { once } from "node:events"
import { type Api, defineApp, Type } from "trestle"

const routes = (api: Api) => {
  /** Waits. */
  api.get("/", { role: "visitor", schema: { response: { 200: Type.Any() } } }, async () => {
    console.log("asked " + process.pid)
    await once(process, "SIGUSR2")
    return "answered"
  })
}
export default defineApp({ name: "waits", routes: { wait: routes }, folder: import.meta.dirname })
`

test("the same wish twice, as a group gets it and a launcher passes it on, cuts no request", async (t) => {
  const { address, drop } = await createTestDatabase(await ledgersOf("/nonexistent"))
  t.after(drop)
  const project = await makeProject(t, { "app/app.ts": application })
  const server = project.start(["start"], { DATABASE_URL: urlOf(address) })
  const [, url] = await server.says(/is at (http\S+)\n/)
  const answer = fetch(`${url}/api/wait`).then((response) => response.text())
  const [, pid] = await server.says(/asked (\d+)/)
  // Two of one kind could become one before they are seen.
  server.kill("SIGTERM")
  server.kill("SIGINT")
  await server.says(/Stopping \(SIG(TERM|INT)\)/)
  process.kill(Number(pid), "SIGUSR2")
  assert.equal(await answer, "answered")
  assert.equal((await server.ended).code, 0)
})

for (const script of ["start", "dev"]) {
  test(`SIGTERM to npm run ${script} ends all that it started, with exit code 0`, async (t) => {
    const { scripts } = JSON.parse(readFileSync(join(import.meta.dirname, "../../package.json"), "utf8"))
    const project = await makeProject(t, {
      "package.json": JSON.stringify({ type: "module", main: "app/app.ts", scripts }),
    })
    await project.seed()
    const npm = project.start(["run", script], {}, ["npm"])
    await npm.says(/ at http/)
    npm.kill("SIGTERM")
    const { code, stdout, stderr } = await npm.ended // it ends when nobody holds its output any more
    assert.equal(code, 0, stdout + stderr)
    assert.equal(await project.postmaster(), undefined)
  })
}

test("a stop while the first process begins ends with exit code 0, and leaves no database", async (t) => {
  const project = await makeProject(t)
  const data = join(project.folder, "data")
  await mkdir(data)
  // Its place is found, and it has not been made yet.
  const begun = nextIn(data, "postgres")
  const server = project.start(["start"])
  await begun
  server.kill("SIGTERM")
  assert.equal((await server.ended).code, 0)
  assert.equal(await project.postmaster(), undefined)
})

test("the start prints the log of what came before and how long it took, then where the server is", async (t) => {
  const project = await makeProject(t, { "app/migrations/001_a.ts": "export const up = async () => {}" })
  await project.seed()
  const server = project.start(["start"], { LOGGING_LEVEL: "debug" })
  await server.says(/Migrated: [^\n]*, 001_a\n/)
  // What "npm run bench start" reads.
  await server.says(
    /Since the process began: settings at \d+ ms, database at \d+ ms, ready at \d+ ms\n[\s\S]* sample is at http/,
  )
  server.kill("SIGTERM")
  assert.equal((await server.ended).code, 0)
})

/** Waits until something of this name comes into a folder. */
async function nextIn(folder: string, name: string): Promise<void> {
  for await (const { filename } of watch(folder)) if (filename === name) return
}
