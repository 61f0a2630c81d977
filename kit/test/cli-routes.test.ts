/** `trestle routes`: who may call what, without a database. */
import assert from "node:assert/strict"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { makeProject } from "./project.ts"

const application = (routes: string) => `import { type Api, defineApp, Type } from "trestle"

const schema = { response: { 200: Type.Any() } }
const answer = async () => ({})
const things = async (api: Api) => {
${routes}
}
export default defineApp({ name: "sample", routes: { things, "/hook": things }, folder: import.meta.dirname })
`

const routes = `
  /** Lists the things. */
  api.get("/", { role: "visitor", schema }, answer)

  /** Changes a thing. Only its owner may. */
  api.route({ method: ["PUT", "PATCH"], url: "/:id", role: "editor", schema, handler: answer })

  api.post("/secret", { role: "superuser", schema: { ...schema, hide: true } }, answer)

  api.head("/probe", { role: "admin", schema: { ...schema, summary: "Says whether it is there." } }, answer)
`

test("every route is listed with its role and summary, hidden ones too, and nothing is started", async (t) => {
  const { run, folder, postmaster } = await makeProject(t, { "app/app.ts": application(routes) })
  const { code, stdout, stderr } = await run(["routes"], { DOCS_SWAGGER: "false", DOCS_REDOC: "false" })
  assert.deepEqual([code, stderr], [0, ""])
  const lines = stdout.trimEnd().split("\n")
  assert.deepEqual(
    lines.filter((line) => /things|hook/.test(line)).map((line) => line.replace(/ +/g, " ")),
    [
      "GET /api/things visitor Lists the things.",
      "PATCH /api/things/:id editor Changes a thing.",
      "PUT /api/things/:id editor Changes a thing.",
      "HEAD /api/things/probe admin Says whether it is there.",
      "POST /api/things/secret superuser (not in the documentation)",
      "GET /hook visitor Lists the things.",
      "PATCH /hook/:id editor Changes a thing.",
      "PUT /hook/:id editor Changes a thing.",
      "HEAD /hook/probe admin Says whether it is there.",
      "POST /hook/secret superuser (not in the documentation)",
    ],
  )
  const paths = lines.map((line) => line.split(/ +/)[1]!)
  assert.deepEqual(paths, paths.toSorted())
  assert.equal(new Set(lines.map((line) => line.indexOf(paths[lines.indexOf(line)]!))).size, 1, "columns")
  assert.match(stdout, /^GET +\/api\/health +visitor +Says that the server is alive\.$/m)
  assert.match(stdout, /^GET +\/api\/users\/:id +superuser +\S/m)
  assert.doesNotMatch(stdout, /^(HEAD|OPTIONS) +\/api\/(health|docs)/m)
  assert.equal(await postmaster(), undefined)
  assert.equal(existsSync(join(folder, "data")), false)
})

test("--json prints them for programs, as the settings make them", async (t) => {
  const { run } = await makeProject(t, { "app/app.ts": application(routes), "app/static/index.html": "Hello" })
  const list = async (env: Record<string, string>): Promise<{ path: string }[]> =>
    JSON.parse((await run(["routes", "--json"], env)).stdout)
  // Nobody is asked at these addresses.
  const nowhere = { DATABASE_URL: "postgres://me@127.0.0.1:1/none", REDIS_URL: "redis://127.0.0.1:1" }
  const listed = await list(nowhere)
  assert.deepEqual(
    listed.filter(({ path }) => path === "/api/signup" || path === "/*"),
    [
      { method: "GET", path: "/*", role: "visitor", summary: "Serves the files of static/." },
      { method: "POST", path: "/api/signup", role: "visitor", summary: "Makes an account and logs in." },
    ],
  )
  const fewer = await list({ ...nowhere, ACCOUNTS_SIGNUP: "false" })
  assert.ok(!fewer.some(({ path }) => path === "/api/signup"))
})

test("an application that cannot be put together says why", async (t) => {
  const asks = application('  await api.db.selectFrom("things" as never).selectAll().execute()')
  const { run, write } = await makeProject(t, { "app/app.ts": asks })
  const asking = await run(["routes"])
  assert.deepEqual([asking.code, asking.stdout], [1, ""])
  assert.match(asking.stderr, /^The application asks the database while it registers its routes.*onListen\)\.\n$/)

  await write("app/app.ts", application('  api.get("/", { schema }, answer)'))
  const { code, stderr } = await run(["routes"])
  assert.equal(code, 1)
  assert.match(stderr, /^The route GET \/api\/things names no role\./)
})
