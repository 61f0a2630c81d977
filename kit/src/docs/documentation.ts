/**
 * The documentation of the API, made from its routes: OpenAPI, the pages that show it, and the list of endpoints. Only the
 * routes are added at the start; what makes the pages is loaded with the first that is asked for.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify"
import type { Route } from "./endpoints.ts"
import type { Pages, PagesOptions } from "./pages.ts"

export type DocumentationOptions = Omit<PagesOptions, "started">

/** Everyone may read it, and it is no part of what it describes. */
const open = { config: { role: "visitor" as const }, schema: { hide: true } }

/** Adds the documentation that `docs` in the configuration switches on. Register it before the routes that it describes. */
export function documentation(api: FastifyInstance, { app, config, mode }: DocumentationOptions): void {
  const { docs } = config
  if (!docs.enabled) return
  const started = Date.now()
  const routes: Route[] = []
  // Kept, not read: a route gets its role and its doc comment from hooks that come after this one.
  api.addHook("onRoute", (route) => void routes.push(route))

  let pages: Promise<Pages> | undefined
  const load = async () => (await import("./pages.ts")).makePages(routes, { app, config, mode, started })
  const add = (path: string, answer: (pages: Pages, request: FastifyRequest, reply: FastifyReply) => unknown) => {
    api.get(path, open, async (request, reply) => {
      pages ??= load()
      return answer(await pages, request, reply)
    })
  }

  if (docs.list) add("/api/list", (pages, _request, reply) => pages.list(reply))
  if (!docs.openapi) return
  add("/api/openapi.json", (pages, request, reply) => pages.openapi(request, reply))
  // These read it, and are nothing without it.
  for (const viewer of ["swagger", "redoc"] as const) {
    if (!docs[viewer]) continue
    const path = viewer === "swagger" ? "/api/docs" : "/api/redoc"
    add(path, (pages, _request, reply) => pages.viewer(viewer, reply))
    add(`${path}/:file`, (pages, request, reply) => pages.file(viewer, request, reply))
  }
}
