/** An application's own programs, beside its server. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { makeProject } from "./project.ts"

test("an application's own programs run as long as the server does", async (t) => {
  const program =
    'process.on("SIGTERM", () => { console.log("program ends"); process.exit() }); console.log("program " + process.pid); setInterval(() => {}, 1000)'
  const project = await makeProject(t, {
    "app/app.ts": `import { defineApp } from "trestle"
export default defineApp({ name: "sample", routes: {}, programs: { ticker: { command: "node", args: ["app/ticker.ts"] } }, folder: import.meta.dirname })
`,
    "app/ticker.ts": program,
  })
  await project.seed()
  const server = project.start(["start"])
  const [, pid] = await server.says(/program (\d+)/)
  process.kill(Number(pid), "SIGKILL")
  await server.says(/The program ticker ended: SIGKILL/)
  const [, next] = await server.says(/program (\d+)/)
  assert.notEqual(next, pid)
  server.kill("SIGTERM")
  await server.says(/program ends/)
  assert.equal((await server.ended).code, 0)
})

test("a program that cannot be started ends neither the server nor a reload, and a stop meanwhile starts no other", async (t) => {
  const app = (command: string, file: string) => `import { defineApp } from "trestle"
const programs = { ticker: { command: ${JSON.stringify(command)}, args: [${JSON.stringify(file)}] } }
export default defineApp({ name: "sample", routes: {}, programs, folder: import.meta.dirname })
`
  const project = await makeProject(t, {
    "app/app.ts": app("", ""),
    "app/first.ts":
      'process.on("SIGTERM", () => console.log("it stays")); console.log("first"); setInterval(() => {}, 1000)',
    "app/second.ts": 'console.log("successor")',
  })
  await project.seed()
  const server = project.start(["start"], { WORKERS_STOP_TIMEOUT: "1 second" })
  await server.says(/The program ticker ended: .*cannot be empty/)
  await project.write("app/app.ts", app("node", "app/first.ts"))
  const { code } = await project.run(["reload"])
  assert.equal(code, 0)
  await server.says(/first/)

  // The reload waits for the former one, and is overtaken by the stop.
  await project.write("app/app.ts", app("node", "app/second.ts"))
  server.kill("SIGHUP")
  await server.says(/it stays/)
  server.kill("SIGTERM")
  const { code: end, stdout } = await server.ended
  assert.equal(end, 0)
  assert.doesNotMatch(stdout, /successor/)
})
