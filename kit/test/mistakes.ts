/** Mistakes that must not compile. Each `@ts-expect-error` is one; `npm run check` fails when one of them does compile. */
import { type Api, ById, type Db, defineApp, job, type Mail, mailTemplate, notFound, Type } from "trestle"
import { Item, ItemInput } from "./sample/app.ts"

export async function right(api: Api) {
  const { db } = api

  api.config.sample.page_size satisfies number

  api.get("/", { role: "visitor", schema: { response: { 200: Type.Array(Item) } } }, async () =>
    db.selectFrom("sample_items").selectAll().execute(),
  )

  api.post(
    "/",
    { role: "editor", schema: { body: ItemInput, response: { 201: Item } } },
    async ({ body, user }, reply) => {
      const item = await db
        .insertInto("sample_items")
        .values({ ...body, owner: user.id, created: new Date() })
        .returningAll()
        .executeTakeFirstOrThrow(() => notFound("item"))
      item.created satisfies string
      item.note satisfies string | null
      return reply.code(201).send(item)
    },
  )

  api.delete(
    "/",
    { role: "editor", idempotent: true, schema: { response: { 200: Type.Array(Item) } } },
    async ({ tx }) => {
      tx satisfies Db
      return tx.deleteFrom("sample_items").returningAll().execute()
    },
  )
}

export async function wrong(api: Api) {
  const { db } = api

  // @ts-expect-error a reply of the wrong shape, returned
  api.get("/1", { role: "visitor", schema: { response: { 200: Item } } }, async () => ({ nope: 1 }))

  api.get("/2", { role: "visitor", schema: { response: { 200: Item } } }, async (_request, reply) =>
    // @ts-expect-error a reply of the wrong shape, sent
    reply.send({ nope: 1 }),
  )

  // @ts-expect-error a misspelt role
  api.get("/3", { role: "edtior", schema: { response: {} } }, async () => 1)

  // @ts-expect-error a table that does not exist
  db.selectFrom("sample_item").selectAll()

  // @ts-expect-error a column that does not exist
  db.selectFrom("sample_items").select("titel")

  // @ts-expect-error a field that clients may not send
  api.post("/6", { role: "editor", schema: { body: ItemInput, response: {} } }, async ({ body }) => body.id)

  // @ts-expect-error an insert without a required column
  db.insertInto("sample_items").values({ owner: "x" })

  const items = db.selectFrom("sample_items").selectAll()
  api.get("/8", { role: "visitor", schema: { response: { 200: Item } } }, async (_request, reply) =>
    // @ts-expect-error a status that is not declared
    reply.code(418).send({}),
  )

  // @ts-expect-error a parameter that the path's schema does not have
  api.get("/9", { role: "visitor", schema: { params: ById, response: {} } }, async ({ params }) => params.slug)

  const [row] = await items.execute()
  // @ts-expect-error a moment is a string in rows, not a Date
  row?.created.getTime()

  // @ts-expect-error a column that may be null is not a string
  row?.note satisfies string | undefined

  // @ts-expect-error a required field of a reply may not be null
  api.get("/10", { role: "visitor", schema: { response: { 200: Type.Object({ a: Type.String() }) } } }, async () => ({
    a: null,
  }))

  api.post("/11", { role: "editor", idempotent: true, schema: { response: {} } }, async ({ tx }) => {
    // @ts-expect-error a table that a transaction does not have either
    tx.selectFrom("sample_item")
    // @ts-expect-error the kit commits
    await tx.commit().execute()
  })

  // @ts-expect-error idempotent is yes or no
  api.post("/12", { role: "editor", idempotent: "24 hours", schema: { response: {} } }, async () => 1)

  // @ts-expect-error a setting that does not exist
  api.config.server.prot

  // @ts-expect-error a setting of the application is a number here
  api.config.sample.page_size satisfies string

  // @ts-expect-error settings are not written
  api.config.sample.page_size = 7
}

const greet = job("greet", { data: Type.Object({ name: Type.String() }) }, ({ data, signal, attempt }) => {
  data.name satisfies string
  attempt satisfies number
  signal satisfies AbortSignal
  // @ts-expect-error what the job is not told
  data.age
})

export async function jobs({ jobs }: Api) {
  const id = await jobs.send(greet, { name: "Ann" }, { delay: "1 minute" })
  id satisfies string
  // @ts-expect-error data that the job does not take
  await jobs.send(greet, { name: 7 })
  // @ts-expect-error data that is missing
  await jobs.send(greet, {})
  // @ts-expect-error an option that there is not
  await jobs.send(greet, { name: "Ann" }, { after: "1 minute" })
}

const hello = mailTemplate("hello", { data: Type.Object({ name: Type.String() }) }, ({ data, config, link }) => {
  data.name satisfies string
  config.server.port satisfies number
  // @ts-expect-error what the mail is not told
  data.age
  return { subject: "Hello", text: link("/") }
})

// @ts-expect-error a mail without text
mailTemplate("wordless", { data: Type.Object({}) }, () => ({ subject: "Hello" }))

// @ts-expect-error HTML that nobody escaped
mailTemplate("unescaped", { data: Type.Object({}) }, () => ({ subject: "Hello", text: "", html: "<p>Hello" }))

export async function mails({ mail }: Api) {
  const id = await mail.send({ to: "ann@example.com", template: hello, data: { name: "Ann" } })
  id satisfies string
  // @ts-expect-error data that the mail does not take
  await mail.send({ to: "ann@example.com", template: hello, data: { name: 7 } })
  // @ts-expect-error data that is missing
  await mail.send({ to: "ann@example.com", template: hello })
  // @ts-expect-error more than one address
  await mail.send({ to: ["ann@example.com"], template: hello, data: { name: "Ann" } })
  // @ts-expect-error delivering is for jobs, which have an id
  await mail.deliver({ to: "ann@example.com", template: hello, data: { name: "Ann" } })
}

job("writes", { data: Type.Object({}) }, async ({ mail }) => mail satisfies Mail)

defineApp({ routes: {}, folder: "", mails: [hello], onSignup: ({ user }) => user.email satisfies string })
// @ts-expect-error what a new account has not
defineApp({ routes: {}, folder: "", onSignup: ({ user }) => user.password })
