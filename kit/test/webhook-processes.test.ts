/** Webhooks in a server's own processes: one answers the request, another one delivers. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { verifyWebhook } from "trestle"
import { makeProject } from "./project.ts"
import { startReceiver } from "./receiver.ts"

const app = `import { defineApp, Type } from "trestle"
const things = (api) => {
  const schema = { body: Type.Object({ url: Type.String() }), response: { 200: Type.Object({ secret: Type.String() }) } }
  api.post("/", { role: "visitor", schema }, async ({ body }) => {
    const { secret } = await api.webhooks.createEndpoint({ url: body.url })
    await api.webhooks.publish({ type: "thing.created", data: {} })
    return { secret }
  })
}
export default defineApp({ name: "sample", routes: { things }, folder: import.meta.dirname })
`

test("a server that was started delivers from a process of its own", async (t) => {
  const project = await makeProject(t, { "app/app.ts": app })
  const receiver = await startReceiver(t)
  const env = { WORKERS_JOBS: "1", WEBHOOKS_ALLOW_PRIVATE: "true", WEBHOOKS_ALLOW_HTTP: "true" }
  const server = project.start(["start"], env)
  const [, url] = await server.says(/(http:\/\/localhost:\d+)/)
  const made = await fetch(`${url}/api/things`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ url: `http://127.0.0.1:${receiver.port}/` }),
  })
  assert.equal(made.status, 200)
  const { secret } = (await made.json()) as { secret: string }
  const { headers, body } = await receiver.nth(1)
  assert.equal(verifyWebhook(secret, headers, body).type, "thing.created")
  server.kill("SIGTERM")
  assert.equal((await server.ended).code, 0)
})
