/** `trestle jobs` and `trestle cron`. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { ledgersOf } from "../src/db/migrations.ts"
import { createTestDatabase } from "../src/db/test-database.ts"
import { makeProject, urlOf } from "./project.ts"

const application = `import { existsSync, writeFileSync } from "node:fs"
import { cron, defineApp, job, Type } from "trestle"

const shaky = job("shaky", { data: Type.Object({}), retries: 0 }, () => {
  if (!existsSync("mended")) throw new Error("It is broken.\\nTwice.")
  writeFileSync("done", "")
})
const nightly = cron("nightly", "0 2 * * *", { timeZone: "Europe/Helsinki" }, ({ jobs }) => jobs.send(shaky, {}))
export default defineApp({ name: "sample", routes: {}, jobs: [shaky, nightly], folder: import.meta.dirname })
`

test("commands list jobs, send crons and dead letters, and cancel", async (t) => {
  const { address, drop } = await createTestDatabase(await ledgersOf("/nonexistent"))
  t.after(drop)
  const project = await makeProject(t, { "app/app.ts": application })
  const env = { DATABASE_URL: urlOf(address), WORKERS_JOBS: "1" }
  const inOneProcess = project.inOneProcess(env)
  const run = (...args: string[]) => inOneProcess(args)

  const { stdout: crons } = await run("cron", "list")
  assert.match(crons, /^nightly {2}0 2 \* \* \*\s+Europe\/Helsinki\s+next at \d{4}-\d\d-\d\dT\d\d:00:00.000Z\n$/)
  assert.match((await run("cron", "run", "nightli")).stderr, /There is no cron "nightli". Did you mean "nightly"\?/)

  // Before a server was ever started.
  const { stdout: id } = await run("cron", "run", "nightly")
  assert.equal((await run("cron", "run", "nightly")).stdout, id)
  assert.match((await run("jobs", "list")).stdout, /^nightly +1 +0 +0 +0 +0 +0$/m)
  assert.deepEqual(await run("jobs", "cancel", id.trim()), {
    code: 0,
    stdout: `${id.trim()} is cancelled.\n`,
    stderr: "",
  })
  const again = await run("jobs", "cancel", id.trim())
  assert.deepEqual([again.code, again.stderr], [1, `${id.trim()} has ended: it is cancelled.\n`])
  await run("cron", "run", "nightly")

  const server = project.start(["start"], env)
  // In whichever order.
  await server.says(
    /job nightly: Done[\s\S]*it was the last: a dead letter|it was the last: a dead letter[\s\S]*job nightly: Done/,
  )
  const dead = await project.run(["jobs", "dead", "--name", "shaky"], env)
  const [letter = ""] = dead.stdout.split(" ")
  assert.match(dead.stdout, /^[0-9a-f-]{36} {2}\S+Z {2}shaky {2}dead {2}1 attempts {2}It is broken\.\\nTwice\.\n$/)
  await project.write("mended", "")
  assert.equal((await project.run(["jobs", "retry", letter], env)).code, 0)
  await server.says(/job shaky: Done/)
  assert.match((await run("jobs", "retry", letter)).stderr, /There is no dead letter/)
  const all: Record<string, unknown>[] = JSON.parse((await run("jobs", "list", "--json")).stdout)
  // The kit's own are there too.
  const listed = all.filter(({ name }) => !String(name).startsWith("trestle."))
  assert.deepEqual(
    listed.map(({ name, done, dead }) => ({ name, done, dead })),
    [
      { name: "nightly", done: 1, dead: 0 },
      { name: "shaky", done: 1, dead: 0 },
    ],
  )
  const status = JSON.parse((await run("status", "--json")).stdout)
  assert.deepEqual(
    status.processes.map(({ name }: { name: string }) => name),
    ["web 1", "job 1"],
  )
  server.kill("SIGTERM")
  assert.equal((await server.ended).code, 0)
})
