/** `trestle token`: API keys from the command line. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { createTestDatabase } from "../src/db/test-database.ts"
import { makeProject, urlOf } from "./project.ts"

const id = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/
const moment = /\d{4}-\d\d-\d\dT[\d:.]{15}Z/

test("a key is made, listed and revoked, and its token is printed once and alone", async (t) => {
  const { address, drop } = await createTestDatabase([])
  t.after(drop)
  const project = await makeProject(t)
  const run = (args: string[]) => project.run(args, { DATABASE_URL: urlOf(address) })
  assert.equal((await run(["migrate", "up"])).code, 0)
  assert.deepEqual(await run(["token", "list"]), {
    code: 0,
    stdout: "",
    stderr: "There are no API keys. To make one: npx trestle token new\n",
  })

  const made = await run(["token", "new", "--name", "robot", "--role", "admin", "--expires", "90 days"])
  assert.match(made.stdout, /^trk_[\w-]{43}\n$/)
  assert.equal(
    made.stderr.replace(moment, "MOMENT"),
    'This is the API key "robot", with the role admin, until MOMENT. It is shown only now.\n' +
      "Send it in the header X-API-Key.\n",
  )
  const inOneProcess = project.inOneProcess({ DATABASE_URL: urlOf(address) })
  const listed = async () => {
    const { stdout } = await inOneProcess(["token", "list"])
    return stdout.replace(id, "ID").replace(moment, "MOMENT").replaceAll(/ {2,}/g, "  ")
  }
  assert.equal(await listed(), "ID  admin  robot  until MOMENT  last used never\n")

  assert.match((await run(["token", "revoke", "robot"])).stdout, /^Revoked robot \(.*\)\.\n$/)
  assert.equal(await listed(), "ID  admin  robot  revoked MOMENT  last used never\n")
  const again = await inOneProcess(["token", "revoke", "robot"])
  assert.deepEqual([again.code, again.stderr.split(".")[0]], [1, 'No key in force has the id or name "robot"'])
})
