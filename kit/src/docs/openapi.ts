/**
 * The API as OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.1), made of the routes. Made here and not by a library, because
 * what is particular is all that there is to do: the schemas are JSON Schema already.
 */
import { STATUS_CODES } from "node:http"
import type { TSchema } from "typebox"
import type { Config } from "../core/config/index.ts"
import { type Endpoint, type KitModule, kitModules } from "./endpoints.ts"
import { bodySchema, type JsonSchema, markdown, replySchema, requiredOf, textSchema } from "./schemas.ts"

/** Of whom the documentation speaks. */
export interface Project {
  name: string
  version: string
  description?: string | undefined
}

/** Makes the document, ready to be written as JSON. */
export function openapi(endpoints: readonly Endpoint[], project: Project, config: Config): JsonSchema {
  const securitySchemes = securitySchemesOf(config)
  const settings = {
    security: Object.keys(securitySchemes),
    deniedStatus: config.roles.denied_status,
    mediaType: config.json_response.media_type,
  }
  const paths: Record<string, JsonSchema> = {}
  for (const endpoint of endpoints) {
    paths[endpoint.template] ??= {}
    paths[endpoint.template]![endpoint.method.toLowerCase()] = operation(endpoint, settings)
  }
  const { name, version, description } = project
  return {
    openapi: "3.1.1",
    info: { title: name, version, ...(description && { description: markdown(description) }) },
    tags: [...Map.groupBy(endpoints, ({ module }) => module)].map(([module, [first]]) => ({
      name: module,
      ...(first?.isKit && { description: kitModules[module as KitModule] }),
    })),
    paths,
    components: { schemas: { Problem: problemSchema }, responses: problems, securitySchemes },
  }
}

/** How callers prove who they are; each that is named here is offered on every route that asks for a role. */
function securitySchemesOf(config: Config): Record<string, JsonSchema> {
  return {
    ...(config.api_keys.enabled && {
      apiKey: { type: "apiKey", in: "header", name: "X-API-Key", description: "The key of a machine." },
    }),
    session: {
      type: "apiKey",
      in: "cookie",
      name: config.session.secure || config.tls.mode !== "off" ? "__Host-session" : "session",
      description: "The session of a person; `POST /api/login` sets it.",
    },
    bearer: {
      type: "http",
      scheme: "bearer",
      description: 'The session of a person, for apps: `POST /api/login` with `"token": true` returns it.',
    },
  }
}

interface OperationSettings {
  /** The names of the security schemes, of which a caller needs one. */
  security: string[]
  deniedStatus: 401 | 403
  /** Of replies. */
  mediaType: string
}

function operation(endpoint: Endpoint, { security, deniedStatus, mediaType }: OperationSettings): JsonSchema {
  const { id, module, role, summary, details, body, isIdempotent } = endpoint
  const isOpen = role === "visitor"
  const parameters = parametersOf(endpoint)
  const who = isOpen ? "Everyone may call." : `Needs the role \`${role}\` or a higher one.`
  const refused = [
    ...(body || endpoint.query || endpoint.headers ? [400] : []),
    // A visitor who sends an Idempotency-Key is told to log in.
    ...(isOpen ? (isIdempotent ? [401] : []) : deniedStatus === 401 ? [401] : [401, 403]),
    ...(endpoint.template.includes("{") ? [404] : []),
    ...(isIdempotent ? [409, 422] : []),
  ]
  return {
    operationId: id,
    tags: [module],
    ...(summary && { summary }),
    description: [details && markdown(details), who].filter(Boolean).join("\n\n"),
    "x-role": role,
    // The empty one says that none is needed; a page that has a key sends it all the same.
    ...(security.length > 0 && { security: [...(isOpen ? [{}] : []), ...security.map((name) => ({ [name]: [] }))] }),
    ...(parameters.length > 0 && { parameters }),
    ...(body && {
      requestBody: { required: true, content: { "application/json": { schema: bodySchema(body, markdown) } } },
    }),
    responses: {
      ...Object.fromEntries(
        refused.map((status) => [status, { $ref: `#/components/responses/${problemNames[status]}` }]),
      ),
      ...Object.fromEntries(
        Object.entries(endpoint.responses).map(([status, schema]) => [
          statusOf(status),
          response(status, schema, mediaType),
        ]),
      ),
    },
  }
}

function parametersOf({ template, params, query, headers }: Endpoint): JsonSchema[] {
  const inPath = [...template.matchAll(/\{([^}]+)\}/g)].map(([, name]) => {
    const { description, ...schema } = textSchema(
      propertiesOf(params)[name!] ?? ({ type: "string" } as TSchema),
      markdown,
    )
    return { name, in: "path", required: true, ...(description !== undefined && { description }), schema }
  })
  return [...inPath, ...parametersIn("query", query), ...parametersIn("header", headers)]
}

/** OpenAPI gives these headers a meaning of its own and ignores them as parameters. */
const ignoredHeaders = /^(accept|authorization|content-type)$/i

function parametersIn(place: "query" | "header", schema: TSchema | undefined): JsonSchema[] {
  if (!schema) return []
  const required = new Set(requiredOf(schema, "text"))
  const names = Object.keys(propertiesOf(schema)).filter((name) => place === "query" || !ignoredHeaders.test(name))
  return names.map((name) => {
    const { description, ...rest } = textSchema(propertiesOf(schema)[name]!, markdown)
    return {
      name,
      in: place,
      ...(required.has(name) && { required: true }),
      ...(description !== undefined && { description }),
      schema: rest,
    }
  })
}

const propertiesOf = (schema: TSchema | undefined): Record<string, TSchema> =>
  (schema as { properties?: Record<string, TSchema> } | undefined)?.properties ?? {}

/** Fastify's `2xx` is OpenAPI's `2XX`. */
const statusOf = (status: string): string => (status === "default" ? status : status.toUpperCase())

function response(status: string, schema: TSchema, mediaType: string): JsonSchema {
  const { description, content, contentMediaType = mediaType } = schema as Record<string, unknown>
  return {
    description: markdown(String(description ?? STATUS_CODES[status] ?? "The answer")),
    ...(content
      ? { content: mapContent(content as Record<string, { schema: TSchema }>) }
      : hasBody(status, schema) && {
          content: { [contentMediaType as string]: { schema: replySchema(schema, markdown) } },
        }),
  }
}

/** The form in which Fastify takes several content types for one status. */
const mapContent = (content: Record<string, { schema: TSchema }>): JsonSchema =>
  Object.fromEntries(
    Object.entries(content).map(([type, { schema }]) => [type, { schema: replySchema(schema, markdown) }]),
  )

const hasBody = (status: string, schema: TSchema): boolean =>
  status !== "204" && status !== "304" && (schema as { type?: unknown }).type !== "null"

const problemNames: Record<number, string> = {
  400: "BadRequest",
  401: "Unauthorized",
  403: "Forbidden",
  404: "NotFound",
  409: "KeyInFlight",
  422: "KeyOfAnotherRequest",
}

const problems: Record<string, JsonSchema> = Object.fromEntries(
  Object.entries({
    BadRequest: "The request is wrong; `errors` names each fault.",
    Unauthorized: "Nobody is logged in, or the credentials are wrong.",
    Forbidden: "The caller's role is too low, or this is another's.",
    NotFound: "There is no such resource.",
    KeyInFlight: "A request with this Idempotency-Key is being answered: ask again when it is done.",
    KeyOfAnotherRequest: "This Idempotency-Key was sent with another request.",
  }).map(([name, description]) => [
    name,
    { description, content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } } },
  ]),
)

const problemSchema: JsonSchema = {
  description: "What went wrong (RFC 9457).",
  type: "object",
  required: ["type", "title", "status", "detail"],
  properties: {
    type: { type: "string", description: "`about:blank`: the status says it all." },
    title: { type: "string", description: "The name of the status." },
    status: { type: "integer", description: "The status of the answer." },
    detail: { type: "string", description: "What to do about it, for people." },
    request_id: { type: "string", description: "The id under which the log has it." },
    errors: {
      type: "array",
      description: "Each single thing that is wrong with the request.",
      items: {
        type: "object",
        required: ["at", "message"],
        properties: {
          at: {
            type: "string",
            description: "Where: `body`, `query`, `params` or `headers`, then the path inside it.",
          },
          message: { type: "string", description: "What was expected." },
        },
      },
    },
  },
}
