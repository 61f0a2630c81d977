/** `trestle routes`: every route with the role that it asks for, also those that the documentation leaves out. */
import { subscribe, unsubscribe } from "node:diagnostics_channel"
import type { FastifyInstance } from "fastify"
import type { App } from "../app.ts"
import { openCapabilities } from "../capabilities.ts"
import type { Config } from "../core/config/index.ts"
import { BootError } from "../core/errors.ts"
import { Log } from "../core/log.ts"
import type { Role } from "../core/roles.ts"
import { isUnreachable, openDatabase } from "../db/database.ts"
import type { Route } from "../docs/endpoints.ts"
import { createServer } from "../server.ts"
import type { Arguments } from "./command.ts"
import { databaseSettings } from "./database.ts"
import { findProject, loadApp } from "./project.ts"
import { configOf } from "./project-config.ts"

/** One method of one path. */
interface ListedRoute {
  method: string
  path: string
  role: Role
  summary?: string | undefined
}

export async function routes({ flags }: Arguments): Promise<void> {
  const project = findProject()
  const app = await loadApp(project)
  const registered = await registeredRoutes(app, configOf(project, app, "production"))
  const listed = withoutOwnHeads(registered.flatMap(methodsOf)).sort(byPath)
  process.stdout.write(flags.json ? `${JSON.stringify(listed, null, 2)}\n` : tableOf(listed))
}

/** Puts the server together as a start does, without listening and without asking the database. */
async function registeredRoutes(app: App, config: Config): Promise<Route[]> {
  const found: Route[] = []
  // Fastify tells of each instance that it makes: the first is the server, and its hook sees all routes.
  const watch = (message: unknown) => {
    unsubscribe(channel, watch)
    const { fastify } = message as { fastify: FastifyInstance }
    fastify.addHook("onRoute", (route) => void found.push(route as Route))
  }
  subscribe(channel, watch)
  const log = new Log("warn", "routes", (line) => void process.stderr.write(line))
  // Connections are made when they are needed, and nothing answers there.
  const database = openDatabase({ url: "postgres://nobody@127.0.0.1:1/none" }, databaseSettings(config), log)
  const capabilities = openCapabilities({ app, config, mode: "production", database, log })
  try {
    const server = await createServer({ app, config, mode: "production", database, capabilities, log })
    await server.close()
    return found
  } catch (cause) {
    if (!isUnreachable(cause)) throw cause
    throw new BootError(
      "The application asks the database while it registers its routes, and this command looks at it without one. " +
        "Ask in the handler, or in a hook that runs when the server is ready to listen (onListen).",
      { cause },
    )
  } finally {
    await capabilities.close()
    await database.close()
  }
}

const channel = "fastify.initialization"

function methodsOf({ method, url, config, schema }: Route): ListedRoute[] {
  const { role = "visitor", isStatic } = (config ?? {}) as { role?: Role; isStatic?: boolean }
  const { hide, summary = hide ? "(not in the documentation)" : undefined } = schema ?? {}
  const says = isStatic ? "Serves the files of static/." : summary
  return [method].flat().map((name) => ({ method: name, path: url, role, summary: says }))
}

/** Fastify adds HEAD to each GET. */
function withoutOwnHeads(routes: ListedRoute[]): ListedRoute[] {
  const gets = new Set(routes.filter(({ method }) => method === "GET").map(({ path }) => path))
  return routes.filter(({ method, path }) => method !== "HEAD" || !gets.has(path))
}

const byPath = (a: ListedRoute, b: ListedRoute): number =>
  a.path === b.path ? (a.method < b.method ? -1 : 1) : a.path < b.path ? -1 : 1

function tableOf(routes: ListedRoute[]): string {
  const width = (of: (route: ListedRoute) => string) => Math.max(...routes.map((route) => of(route).length))
  const [methods, paths, roles] = [width(({ method }) => method), width(({ path }) => path), width(({ role }) => role)]
  return routes
    .map(({ method, path, role, summary }) =>
      `${method.padEnd(methods)}  ${path.padEnd(paths)}  ${role.padEnd(roles)}  ${summary ?? ""}`.trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join("")
}
