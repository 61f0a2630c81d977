/** What the server answers, read from its routes once they are registered; OpenAPI and the list are made of it. */
import type { FastifyContextConfig, RouteOptions } from "fastify"
import { type TObject, type TSchema, Type } from "typebox"
import { type App, pathOf } from "../app.ts"
import type {} from "../auth/authorize.ts"
import type { Role } from "../core/roles.ts"

/** One method of one path. */
export interface Endpoint {
  method: string
  /** As it is routed: `/api/movies/:id`. */
  path: string
  /** As it is written elsewhere: `/api/movies/{id}`. */
  template: string
  /** Unique, and the same as long as method and path are: `getMoviesById`. */
  id: string
  /** The key of `app.routes`, or {@link kitModule}. */
  module: string
  /** Whether the kit brings it. */
  isKit: boolean
  role: Role
  summary: string | undefined
  /** What the description says besides the summary. */
  details: string | undefined
  params: TSchema | undefined
  query: TSchema | undefined
  headers: TSchema | undefined
  body: TSchema | undefined
  /** Whether it takes an Idempotency-Key. */
  isIdempotent: boolean
  responses: Record<string, TSchema>
}

/** A route as an `onRoute` hook gets it. */
export type Route = RouteOptions & { prefix: string }

/** The modules of the routes that the kit brings, and what is said of them. */
export const kitModules = {
  accounts: "Accounts of people, and their sessions.",
  server: "What the server itself offers.",
} as const

export type KitModule = keyof typeof kitModules

declare module "fastify" {
  interface FastifyContextConfig {
    /** Which of its modules a route of the kit belongs to. */
    module?: KitModule
  }
}

/** Fastify adds HEAD to each GET, and every path answers OPTIONS: they tell nothing. */
const documented = new Set(["GET", "POST", "PUT", "PATCH", "DELETE"])

/** The endpoints of routes, those of the application first, in the order of their registration. */
export function endpointsOf(routes: readonly Route[], app: App): Endpoint[] {
  const ids = new Map<string, number>()
  const endpoints = routes.flatMap((route) => {
    const schema = (route.schema ?? {}) as Record<string, unknown>
    if (schema.hide) return []
    const isIdempotent = route.idempotent === true
    const methods = [route.method].flat().filter((method) => documented.has(method))
    return methods.map((method): Endpoint => {
      const template = templateOf(route.url)
      const id = operationId(method, template)
      const count = (ids.get(id) ?? 0) + 1
      ids.set(id, count)
      return {
        method,
        path: route.url,
        template,
        id: count === 1 ? id : `${id}_${count}`,
        ...moduleOf(route, app),
        role: (route.config as { role?: Role } | undefined)?.role ?? "visitor",
        summary: schema.summary as string | undefined,
        details: detailsOf(schema as Said) || undefined,
        params: schema.params as TSchema | undefined,
        query: (schema.querystring ?? schema.query) as TSchema | undefined,
        headers: headersOf(schema.headers as TSchema | undefined, isIdempotent),
        body: schema.body as TSchema | undefined,
        isIdempotent,
        responses: (schema.response ?? {}) as Record<string, TSchema>,
      }
    })
  })
  const kits = Object.keys(kitModules).flatMap((name) =>
    endpoints.filter(({ isKit, module }) => isKit && module === name),
  )
  return [...endpoints.filter(({ isKit }) => !isKit), ...kits]
}

/** The headers that it looks at, the key of an idempotent one among them. */
const headersOf = (headers: TSchema | undefined, isIdempotent: boolean): TSchema | undefined =>
  isIdempotent
    ? Type.Object({ ...(headers as TObject | undefined)?.properties, "Idempotency-Key": idempotencyKey })
    : headers

const idempotencyKey = Type.Optional(
  Type.String({
    minLength: 1,
    maxLength: 255,
    description:
      "Any text that no other request of yours has, such as a UUID. Whoever sends the same request again with it, within " +
      "24 hours, gets the same answer with `Idempotency-Replayed: true`, and nothing is done twice.",
  }),
)

interface Said {
  summary?: string
  description?: string
}

/** A doc comment begins with its summary, which is shown already; its line breaks may be others. */
function detailsOf({ summary = "", description = "" }: Said): string {
  if (!summary || !description.replace(/\s+/g, " ").startsWith(summary)) return description
  const words = summary.split(" ").length
  return description
    .split(/(\s+)/)
    .slice(2 * words)
    .join("")
}

/**
 * Fastify's path in the way of RFC 6570: `:id` and `:id(^\\d+$)` are `{id}`, `*` is `{*}`, and `::` is a colon.
 * https://github.com/delvedor/find-my-way#supported-path-formats
 */
export const templateOf = (url: string): string =>
  url
    .replace(/::|:(\w+)(\((?:[^()\\]|\\.|\([^()]*\))*\))?\??/g, (found, name) => (found === "::" ? ":" : `{${name}}`))
    .replace(/\*$/, "{*}")

function operationId(method: string, template: string): string {
  const words = template
    .replace(/^\/api(?=\/|$)/, "")
    .replace(/\{\*\}/g, " by path ")
    .replace(/\{(\w+)\}/g, " by $1 ")
    .split(/[^A-Za-z0-9]+/)
  return method.toLowerCase() + words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join("")
}

/** Routes are in the scope of their key, whose prefix they bear; the kit's are in one without a prefix, as those of "/" are. */
function moduleOf({ prefix, url, config }: Route, app: App): Pick<Endpoint, "module" | "isKit"> {
  const { module } = (config ?? {}) as FastifyContextConfig
  if (module) return { module, isKit: true }
  const keys = Object.keys(app.routes)
    .filter((key) => `${prefix}/`.startsWith(`${pathOf(key)}/`))
    .sort((a, b) => pathOf(b).length - pathOf(a).length)
  const [key] = keys
  const isKit = key === undefined || (key === "/" && url.startsWith("/api/"))
  return { module: isKit ? "server" : key, isKit }
}
