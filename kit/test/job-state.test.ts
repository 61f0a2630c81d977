// @together
/** Who may read how far a job is. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { defineApp, job, Type } from "trestle"
import { testApp } from "../src/testing.ts"

const data = Type.Object({ owner: Type.String() })
const owned = job("owned", { data, readable: (caller, { owner }) => caller?.id === owner }, ({ report }) =>
  report(1, "all"),
)
const open = job("open", { data, readable: "visitor" }, () => {
  throw new Error("The reason is nobody's business.")
})
const closed = job("closed", { data }, () => {})

const app = defineApp({ name: "sample", routes: {}, jobs: [owned, open, closed], folder: import.meta.dirname })

test("a job is read by those whom it lets, and is not there for others", async (t) => {
  const { as, person, visitor, jobs } = await testApp(t, app)
  const anna = person("readonly", "anna")
  const { body } = await anna.get("/api/me")
  const [mine, everyones, admins] = [
    await jobs.send(owned, { owner: body.me.id }),
    await jobs.send(open, { owner: "" }),
    await jobs.send(closed, { owner: "" }),
  ]
  const statuses = async (id: string) =>
    Promise.all(
      [visitor, anna, person("readonly", "bert"), as("editor"), as("admin")].map(
        async (one) => (await one.get(`/api/jobs/${id}`)).status,
      ),
    )
  assert.deepEqual(await statuses(mine), [404, 200, 404, 404, 404])
  assert.deepEqual(await statuses(everyones), [200, 200, 200, 200, 200])
  assert.deepEqual(await statuses(admins), [404, 404, 404, 404, 200])
  assert.equal((await visitor.get("/api/jobs/nonsense")).status, 404)

  const before = (await anna.get(`/api/jobs/${mine}`)).body
  assert.deepEqual(Object.keys(before).sort(), ["attempts", "created", "due", "id", "name", "phase"])
  await jobs.run()
  const { headers, body: after } = await anna.get(`/api/jobs/${mine}`)
  assert.deepEqual([after.phase, after.progress, after.note, after.attempts], ["done", 1, "all", 1])
  assert.equal(headers.get("cache-control"), "no-store")

  const failed = await visitor.get(`/api/jobs/${everyones}`)
  assert.equal(failed.body.phase, "waiting")
  assert.ok(!JSON.stringify(failed.body).includes("reason"))
})
