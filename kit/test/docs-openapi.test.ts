// @together
/** The OpenAPI document says what the server does. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { Validator } from "@seriousme/openapi-schema-validator"
import { type Api, ById, forbidden, HtmlPage, html, Input, type Routes, sendHtml, Type } from "trestle"
import { testApp } from "trestle/testing"
import { Value } from "typebox/value"
import { Item, ItemInput, sampleApp } from "./sample/app.ts"

const Deep = Type.Object({
  list: Type.Array(Type.Object({ id: Type.Readonly(Type.String()), label: Type.String() }), { maxItems: 3 }),
  mode: Type.Union([Type.Literal("fast"), Type.Literal("slow")], { default: "slow" }),
  note: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  tags: Type.Optional(Type.Record(Type.String(), Type.String())),
})

const routes: Routes = (api) => {
  const open = { role: "visitor", schema: { response: { 200: Type.Object({}) } } } as const

  /**
   * Lists the items
   * that match. Oldest first, as `Array<Item>`, never as Map<string>.
   *
   * And more.
   */
  api.get(
    "/",
    {
      role: "readonly",
      schema: {
        querystring: Type.Object({
          search: Type.Optional(Type.String({ description: "Part of the name" })),
          sort: Type.String(),
          page: Type.Integer({ default: 1 }),
        }),
        headers: Type.Object({ "x-trace": Type.Optional(Type.String()), authorization: Type.Optional(Type.String()) }),
        response: { 200: Type.Array(Item), "4xx": Type.Object({ message: Type.String() }) },
      },
    },
    async () => [],
  )

  /** Adds an item. */
  api.post("/", { role: "editor", schema: { body: ItemInput, response: { 201: Item } } }, async () => {
    throw forbidden()
  })

  /** Changes an item. */
  api.route({
    method: ["PUT", "PATCH"],
    url: "/:id",
    role: "editor",
    schema: { params: ById, body: Type.Partial(ItemInput), response: { 200: Item } },
    handler: async () => {
      throw forbidden()
    },
  })

  /** Takes a whole item, read-only fields too. */
  api.post("/whole", { role: "admin", schema: { body: Item, response: { 200: Type.Null() } } }, async () => null)

  /** Takes something deep. */
  api.post(
    "/deep",
    { role: "visitor", schema: { body: Input(Deep), response: { 204: Type.Null() } } },
    async () => null,
  )

  /** May be sent twice. */
  api.delete(
    "/twice",
    {
      role: "visitor",
      idempotent: true,
      schema: {
        headers: Type.Object({ "x-trace": Type.String() }),
        response: { 204: Type.Null(), 422: Type.Object({ own: Type.String() }) },
      },
    },
    async () => null,
  )

  /** A page. */
  api.get("/page", { role: "visitor", schema: { response: { 200: HtmlPage } } }, async (_request, reply) =>
    sendHtml(reply, html`<p>`),
  )

  /** Unusual paths. */
  api.get("/files/*", open, async () => ({}))
  /** Unusual paths. */
  api.get("/:year(^\\d{4}$)-:month(^(?:0|1)\\d$)/a-b", open, async () => ({}))
  /** The same id. */
  api.get("/:year(^\\d{4}$)-:month(^(?:0|1)\\d$)/a/b", open, async () => ({}))
  /** A colon. */
  api.get("/items::count", open, async () => ({}))

  api.get("/hidden", { ...open, schema: { ...open.schema, hide: true } }, async () => ({}))
  api.head("/head", open, async () => ({}))
  api.options("/options", open, async () => ({}))
}

const app = sampleApp(routes)

test("the document is valid OpenAPI 3.1 by an independent validator", async (t) => {
  const { visitor } = await testApp(t, app)
  const { status, headers, body } = await visitor.get("/api/openapi.json")
  assert.equal(status, 200)
  assert.equal(headers.get("content-type"), "application/json; charset=utf-8")
  assert.match(body.openapi, /^3\.1\.\d$/)
  assert.deepEqual(await new Validator().validate(structuredClone(body)), { valid: true })

  delete body.info
  assert.equal((await new Validator().validate(body)).valid, false, "the validator says so when something is missing")
})

test("every route is there but hidden ones, HEAD, OPTIONS and the documentation itself", async (t) => {
  const { visitor } = await testApp(t, app)
  const { paths, tags, info } = (await visitor.get("/api/openapi.json")).body
  const operations = Object.entries<Record<string, { operationId: string; tags: string[] }>>(paths).flatMap(
    ([path, its]) =>
      Object.entries(its).map(([method, { operationId, tags }]) => `${method} ${path} ${operationId} ${tags}`),
  )
  const isOfAccounts = (operation: string) => operation.endsWith(" accounts")
  assert.ok(operations.filter(isOfAccounts).includes("get /api/me getMe accounts"))
  assert.deepEqual(
    operations.filter((operation) => !isOfAccounts(operation)),
    [
      "get /api/sample getSample sample",
      "post /api/sample postSample sample",
      "put /api/sample/{id} putSampleById sample",
      "patch /api/sample/{id} patchSampleById sample",
      "post /api/sample/whole postSampleWhole sample",
      "post /api/sample/deep postSampleDeep sample",
      "delete /api/sample/twice deleteSampleTwice sample",
      "get /api/sample/page getSamplePage sample",
      "get /api/sample/files/{*} getSampleFilesByPath sample",
      "get /api/sample/{year}-{month}/a-b getSampleByYearByMonthAB sample",
      "get /api/sample/{year}-{month}/a/b getSampleByYearByMonthAB_2 sample",
      "get /api/sample/items:count getSampleItemsCount sample",
      // A path stands where its first method does, and POST /api/login is one of accounts.
      "get /api/login getLogin server",
      "get /api/health getHealth server",
      "get /api/health/ready getHealthReady server",
      "get /api/jobs/{id} getJobsById server",
    ],
  )
  assert.deepEqual(
    tags.map(({ name }: { name: string }) => name),
    ["sample", "accounts", "server"],
  )
  assert.equal(info.title, "sample")
  assert.match(info.version, /^\d+\.\d+\.\d+/)
})

test("routes bear the key that they were registered under", async (t) => {
  const answer: Routes = (api: Api) => {
    api.get("/", { role: "visitor", schema: { response: { 200: Type.Object({}) } } }, async () => ({}))
    api.get("/x", { role: "visitor", schema: { response: { 200: Type.Object({}) } } }, async () => ({}))
  }
  const nested: Routes = async (api) =>
    void (await api.register(async (inner) => answer(inner as Api), { prefix: "/v2" }))
  const { visitor } = await testApp(
    t,
    sampleApp(answer, { routes: { "/": answer, "/api": answer, a: nested, ab: answer } }),
  )
  const { paths } = (await visitor.get("/api/openapi.json")).body
  const tagOf = (path: string) => paths[path].get.tags[0]
  assert.deepEqual(
    ["/", "/x", "/api", "/api/x", "/api/a/v2", "/api/a/v2/x", "/api/ab", "/api/ab/x", "/api/health"].map(tagOf),
    ["/", "/", "/api", "/api", "a", "a", "ab", "ab", "server"],
  )
})

test("doc comments are summary and description, in which what is no code stays text", async (t) => {
  const { visitor } = await testApp(t, app)
  const { get, post } = (await visitor.get("/api/openapi.json")).body.paths["/api/sample"]
  assert.equal(get.summary, "Lists the items that match.")
  assert.equal(
    get.description,
    "Oldest first, as `Array<Item>`, never as Map\\<string>.\n\nAnd more.\n\nNeeds the role `readonly` or a higher one.",
  )
  assert.equal(post.summary, "Adds an item.")
  assert.equal(post.description, "Needs the role `editor` or a higher one.")
})

test("who may call is said: above visitor a key is asked for, below it may be sent", async (t) => {
  const { visitor } = await testApp(t, app)
  const { paths, components } = (await visitor.get("/api/openapi.json")).body
  const { scheme, ...key } = components.securitySchemes.apiKey
  assert.equal(scheme, undefined)
  assert.deepEqual([key.type, key.in, key.name], ["apiKey", "header", "X-API-Key"])
  assert.equal(paths["/api/sample"].post["x-role"], "editor")
  const ways = [{ apiKey: [] }, { session: [] }, { bearer: [] }]
  assert.deepEqual(paths["/api/sample"].post.security, ways)
  assert.equal(paths["/api/health"].get["x-role"], "visitor")
  assert.deepEqual(paths["/api/health"].get.security, [{}, ...ways])
  assert.equal(paths["/api/health"].get.description, "Everyone may call.")

  const without = await testApp(t, app, { env: { API_KEYS_ENABLED: "false" } })
  const other = (await without.visitor.get("/api/openapi.json")).body
  assert.deepEqual(Object.keys(other.components.securitySchemes), ["session", "bearer"])
  assert.deepEqual(other.paths["/api/sample"].post.security, [{ session: [] }, { bearer: [] }])
  assert.deepEqual(Object.keys(other.paths["/api/login"]), ["post"])
})

test("problems are said where they can come, unless the route says otherwise", async (t) => {
  const { visitor } = await testApp(t, app)
  const { paths, components } = (await visitor.get("/api/openapi.json")).body
  const statuses = (path: string, method: string) => Object.keys(paths[path][method].responses).join(" ")
  assert.equal(statuses("/api/sample", "get"), "200 400 401 403 4XX")
  assert.equal(statuses("/api/sample", "post"), "201 400 401 403")
  assert.equal(statuses("/api/sample/{id}", "put"), "200 400 401 403 404")
  assert.equal(statuses("/api/sample/files/{*}", "get"), "200 404")
  assert.equal(statuses("/api/health", "get"), "200")
  assert.deepEqual(paths["/api/sample"].post.responses[400], { $ref: "#/components/responses/BadRequest" })

  const denied = await testApp(t, app, { env: { ROLES_DENIED_STATUS: "401" } })
  const { responses } = (await denied.visitor.get("/api/openapi.json")).body.paths["/api/sample"].post
  assert.deepEqual(Object.keys(responses), ["201", "400", "401"])

  const { as } = await testApp(t, app)
  const { schema } = components.responses.BadRequest.content["application/problem+json"]
  assert.deepEqual(schema, { $ref: "#/components/schemas/Problem" })
  for (const [body, status] of [
    [{ nope: 1 }, 400],
    [{ name: "a" }, 403],
  ] as const) {
    const problem = await as("editor").post("/api/sample", body)
    assert.equal(problem.status, status)
    const undocumented = Object.keys(problem.body).filter((name) => !(name in components.schemas.Problem.properties))
    assert.deepEqual(undocumented, [])
    assert.ok(Value.Check(components.schemas.Problem, problem.body), JSON.stringify(problem.body))
  }
})

test("a route that may be sent twice takes a key, and says what it answers to it", async (t) => {
  const { visitor } = await testApp(t, app)
  const { parameters, responses } = (await visitor.get("/api/openapi.json")).body.paths["/api/sample/twice"].delete
  const [trace, key] = parameters
  assert.deepEqual(trace, { name: "x-trace", in: "header", required: true, schema: { type: "string" } })
  const { description, ...rest } = key
  assert.match(description, /nothing is done twice/)
  assert.deepEqual(rest, {
    name: "Idempotency-Key",
    in: "header",
    schema: { type: "string", minLength: 1, maxLength: 255 },
  })
  assert.deepEqual(Object.keys(responses), ["204", "400", "401", "409", "422"])
  assert.deepEqual(responses[409], { $ref: "#/components/responses/KeyInFlight" })
  assert.ok(responses[422].content["application/json"], "its own word on it counts")
  assert.match((await visitor.get("/api/list")).body, /<code>Idempotency-Key<\/code><\/th><td>header/)
})

test("read-only fields are marked in replies and are no part of bodies", async (t) => {
  const { visitor } = await testApp(t, app)
  const { paths } = (await visitor.get("/api/openapi.json")).body
  const reply = paths["/api/sample"].get.responses[200].content["application/json"].schema.items
  assert.deepEqual(reply.required, ["id", "created", "owner", "name"])
  assert.deepEqual(reply.properties.id, { type: "string", format: "uuid", readOnly: true })
  assert.equal(reply.properties.name.readOnly, undefined)

  const bodyOf = (path: string, method: string) => paths[path][method].requestBody.content["application/json"].schema
  const item = {
    type: "object",
    required: ["name"],
    properties: {
      name: { type: "string", minLength: 1, maxLength: 100 },
      note: { type: "string", maxLength: 1000 },
    },
    additionalProperties: false,
  }
  assert.deepEqual(bodyOf("/api/sample", "post"), item)
  assert.deepEqual(bodyOf("/api/sample/whole", "post"), item)
  const { required, ...change } = item
  assert.deepEqual(bodyOf("/api/sample/{id}", "patch"), change)

  assert.deepEqual(bodyOf("/api/sample/deep", "post"), {
    type: "object",
    required: ["list"],
    properties: {
      list: {
        type: "array",
        maxItems: 3,
        items: {
          type: "object",
          required: ["label"],
          properties: { label: { type: "string" } },
          additionalProperties: false,
        },
      },
      mode: {
        anyOf: [
          { type: "string", const: "fast" },
          { type: "string", const: "slow" },
        ],
        default: "slow",
      },
      note: { anyOf: [{ type: "string" }, { type: "null" }] },
      tags: { type: "object", patternProperties: { "^.*$": { type: "string" } } },
    },
    additionalProperties: false,
  })
})

test("parameters have their place, and are required where nothing stands in for them", async (t) => {
  const { visitor } = await testApp(t, app)
  const { paths } = (await visitor.get("/api/openapi.json")).body
  assert.deepEqual(paths["/api/sample"].get.parameters, [
    { name: "search", in: "query", description: "Part of the name", schema: { type: "string" } },
    { name: "sort", in: "query", required: true, schema: { type: "string" } },
    { name: "page", in: "query", schema: { type: "integer", default: 1 } },
    { name: "x-trace", in: "header", schema: { type: "string" } },
  ])
  assert.deepEqual(paths["/api/sample/{id}"].put.parameters, [
    { name: "id", in: "path", required: true, schema: { type: "string", format: "uuid" } },
  ])
  assert.deepEqual(
    paths["/api/sample/{year}-{month}/a-b"].get.parameters.map(({ name }: { name: string }) => name),
    ["year", "month"],
  )
})

test("replies have their content type, and none where there is no content", async (t) => {
  const { visitor } = await testApp(t, app, { env: { JSON_RESPONSE_MEDIA_TYPE: "application/vnd.sample+json" } })
  const { paths } = (await visitor.get("/api/openapi.json")).body
  assert.deepEqual(Object.keys(paths["/api/sample/page"].get.responses[200].content), ["text/html"])
  assert.deepEqual(Object.keys(paths["/api/sample"].get.responses[200].content), ["application/vnd.sample+json"])
  assert.deepEqual(paths["/api/sample/whole"].post.responses[200], { description: "OK" })
  assert.deepEqual(paths["/api/sample/deep"].post.responses[204], { description: "No Content" })
})
