/** `trestle dev`: the server, again at each change, whatever happens to its files. */
import assert from "node:assert/strict"
import { rename } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { createTestDatabase } from "../src/db/test-database.ts"
import { type Command, makeProject, type Project, urlOf } from "./project.ts"

const application = `import { type Api, defineApp, job, Type } from "trestle"
import { text } from "./text.ts"

const say = job("say", { data: Type.Object({}) }, ({ log }) => log.info("In the background: " + text))
const routes = (api: Api) => {
  /** Says the text, here and in the background. */
  api.get("/", { role: "visitor", schema: { response: { 200: Type.Any() } } }, async () => {
    await api.jobs.send(say, {})
    return text
  })
}
export default defineApp({ routes: { text: routes }, jobs: [say], folder: import.meta.dirname })
`
const textOf = (text: string) => `export const text: string = "${text}"\n`
const files = { "app/app.ts": application, "app/text.ts": textOf("first") }

/** Puts a new file in the place of the old one, as editors, `sed -i` and git do. */
async function replace({ folder, write }: Project, name: string, text: string): Promise<void> {
  await write("new", text)
  await rename(join(folder, "new"), join(folder, name))
}

/** What the server answers once it has started again. */
async function answer(dev: Command): Promise<string> {
  const [, url] = await dev.says(/Development at (http\S+)\. /)
  return (await fetch(`${url}/api/text`)).text()
}

test("the server starts again at each change, however the file is saved", async (t) => {
  const { address, drop } = await createTestDatabase([])
  t.after(drop)
  const project = await makeProject(t, files)
  const { write } = project
  await write("app/migrations/README.md", "Each file is a change of the tables.")
  const dev = project.start(["dev"], { DATABASE_URL: urlOf(address) })
  assert.equal(await answer(dev), "first")
  await dev.says(/job say: In the background: first/)

  // Twice: the first one takes away the file that a watcher of files would look at.
  for (const text of ["second", "third"]) {
    await replace(project, "app/text.ts", textOf(text))
    await dev.says(/app\/text\.ts changed/)
    assert.equal(await answer(dev), text)
  }
  await write("app/text.ts", textOf("fourth"))
  assert.equal(await answer(dev), "fourth")

  await write("app/texts/long.ts", textOf("a long text"))
  assert.equal(await answer(dev), "fourth")
  await write("app/text.ts", 'export { text } from "./texts/long.ts"\n')
  assert.equal(await answer(dev), "a long text")
  await replace(project, "app/texts/long.ts", textOf("a longer text"))
  assert.equal(await answer(dev), "a longer text")

  const others = {
    "config.json": '{ "server": { "body_limit": "2 MB" } }',
    ".env": "LOG_LEVEL=debug",
    "app/migrations/001_actors.ts": "export const up = async () => {}",
  }
  for (const [name, content] of Object.entries(others)) {
    await replace(project, name, content)
    await dev.says(new RegExp(`${name} changed`))
    assert.equal(await answer(dev), "a longer text")
  }
  dev.kill("SIGTERM")
  assert.equal((await dev.ended).code, 0)
})

test("a mistake is printed and waits for its mending, also at the start", async (t) => {
  const { address, drop } = await createTestDatabase([])
  t.after(drop)
  const project = await makeProject(t, { ...files, "app/text.ts": "export const text = {{{" })
  const dev = project.start(["dev"], { DATABASE_URL: urlOf(address) })
  await dev.says(/app\/text\.ts:1\n[\s\S]*SyntaxError/)
  await dev.says(/The server has ended\. It starts again at the next change\./)
  await replace(project, "app/text.ts", textOf("mended"))
  assert.equal(await answer(dev), "mended")

  await project.write("config.json", '{ "server": { "prot": 1 } }')
  await dev.says(/server\.prot is unknown\. Did you mean server\.port\?/)
  await dev.says(/The server has ended/)
  await project.write("config.json", "{}")
  assert.equal(await answer(dev), "mended")

  // A mistake that is found after the database was lent.
  await project.write("app/migrations/001_a.ts", "export const up = async () => { throw new Error('not yet') }")
  await dev.says(/001_a\.ts failed.*not yet/)
  await dev.says(/The server has ended/)
  await project.write("app/migrations/001_a.ts", "export const up = async () => {}")
  assert.equal(await answer(dev), "mended")
})

test("the embedded database runs on while the server starts again, and ends with trestle dev", async (t) => {
  const project = await makeProject(t, files)
  await project.seed()
  const dev = project.start(["dev"])
  await answer(dev)
  const postmaster = await project.postmaster()
  assert.ok(postmaster)
  const { stdout: url } = await project.run(["db", "url"])
  assert.match(url, /^postgresql:\/\/trestle@\/postgres\?host=/)

  await project.write("app/text.ts", textOf("second"))
  assert.equal(await answer(dev), "second")
  assert.equal(await project.postmaster(), postmaster)
  assert.equal((await project.run(["db", "url"])).stdout, url)
  dev.kill("SIGTERM")
  assert.equal((await dev.ended).code, 0)
  assert.equal(await project.postmaster(), undefined)
})

test("a server whose trestle dev was killed ends too, and the next one takes the database over", async (t) => {
  const project = await makeProject(t, files)
  await project.seed()
  const killed = project.start(["dev"])
  await answer(killed)
  killed.kill("SIGKILL")
  await killed.ended // its output is also the server's: it ends with the last of them
  const dev = project.start(["dev"])
  await dev.says(/Took over the running database/)
  assert.equal(await answer(dev), "first")
})
