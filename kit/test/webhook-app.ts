/** An application with webhooks, for their tests. */
import type { TestContext } from "node:test"
import { Id, Input, type Routes, Type, WebhookEndpoint } from "trestle"
import { testApp } from "../src/testing.ts"
import type { Received } from "./receiver.ts"
import { ItemInput, sampleApp } from "./sample/app.ts"

const Created = Type.Object({ ...WebhookEndpoint.properties, secret: Type.String() })

/** An item with an event, and endpoints that people make for themselves. */
export const routes: Routes = (api) => {
  const { db, webhooks } = api

  api.post(
    "/items",
    {
      role: "editor",
      schema: {
        body: ItemInput,
        querystring: Type.Object({ fail: Type.Optional(Type.Boolean()) }),
        response: { 201: Id },
      },
    },
    async ({ body, query, user }, reply) => {
      const id = await db.transaction().execute(async (tx) => {
        const item = { ...body, owner: user.id }
        const { id } = await tx.insertInto("sample_items").values(item).returning("id").executeTakeFirstOrThrow()
        await webhooks.publish({ type: "item.created", data: { id, name: body.name } }, { owner: user.id, tx })
        if (query.fail) throw new Error("rolled back")
        return id
      })
      return reply.code(201).send(id)
    },
  )
  api.post(
    "/endpoints",
    { role: "editor", schema: { body: Input(WebhookEndpoint), response: { 201: Created } } },
    async ({ body, user }, reply) => reply.code(201).send(await webhooks.createEndpoint({ ...body, owner: user.id })),
  )
  api.get(
    "/endpoints",
    { role: "editor", schema: { response: { 200: Type.Array(WebhookEndpoint) } } },
    async ({ user }) => webhooks.list({ owner: user.id }),
  )
}

/** Starts it; `more` are routes besides, at `/api/more`. */
export async function startWithWebhooks(
  t: TestContext,
  env: Record<string, string> = { WEBHOOKS_ALLOW_PRIVATE: "true" },
  more: Routes = () => {},
) {
  const app = sampleApp(routes, { routes: { sample: routes, more } })
  const tested = await testApp(t, app, { env })
  return { ...tested, webhooks: tested.server.webhooks }
}

export const event = { type: "item.created", data: { name: "Spoon" } }
export const idOf = ({ headers }: Received) => headers["webhook-id"]
