// Every route of the application says in one sentence what it does: a doc comment above it, or schema.summary.

import type { RouteOptions } from "fastify"
import app from "../../app/app.ts"
import { type App, defineApp } from "../src/app.ts"
import { openCapabilities } from "../src/capabilities.ts"
import { loadConfig } from "../src/core/config/index.ts"
import { Log } from "../src/core/log.ts"
import { openDatabase } from "../src/db/database.ts"
import { createServer } from "../src/server.ts"
import type { Findings } from "./project.ts"

/** What a route says of itself. */
export type ListedRoute = { method: string; url: string; summary?: string | undefined }

/** Assembles the server as a start does, without listening and without asking the database. */
export async function checkRoutes(): Promise<Findings> {
  return findSilentRoutes(await routesOf(app))
}

/** The routes that say nothing of themselves. */
export function findSilentRoutes(routes: ListedRoute[]): Findings {
  const silent = routes.filter((route) => !route.summary?.trim())
  return {
    problems: silent.map(({ method, url }) => `${method} ${url} has no summary: write a doc comment above the route`),
  }
}

/** The routes that an application registers, with their summaries as clients see them. */
export async function routesOf(app: App): Promise<ListedRoute[]> {
  const found: ListedRoute[] = []
  const list = (route: RouteOptions) => {
    for (const method of [route.method].flat()) {
      // Fastify adds HEAD to each GET.
      if (method !== "HEAD")
        found.push({ method, url: route.url, summary: (route.schema as { summary?: string })?.summary })
    }
  }
  const routes = Object.entries(app.routes).map(([key, add]): [string, typeof add] => [
    key,
    (api) => {
      api.addHook("onRoute", list)
      return add(api)
    },
  ])
  const config = loadConfig({ folder: "/nonexistent", env: {}, ...(app.config && { sections: app.config }) })
  const log = new Log("error", "check", () => {})
  const settings = {
    poolSize: 1,
    connectTimeoutMs: 1,
    statementTimeoutMs: 1,
    idleInTransactionTimeoutMs: 1,
    preparedStatements: false,
    logSql: false as const,
  }
  const database = openDatabase({ url: "postgres://nobody@127.0.0.1:1/none" }, settings, log)
  const capabilities = openCapabilities({ app, config, mode: "test", database, log })
  const options = {
    app: defineApp({ ...app, routes: Object.fromEntries(routes) }),
    config,
    database,
    capabilities,
    log,
  }
  const server = await createServer({ ...options, mode: "test" })
  await server.close()
  await capabilities.close()
  await database.close()
  return found
}
