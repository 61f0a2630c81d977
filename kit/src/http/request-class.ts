/** Fastify's Request, whose getters can be replaced: a decorator could not, since the names are taken. */
import type { FastifyInstance, FastifyRequest } from "fastify"

/**
 * Makes `request[name]` what `get` returns. Fastify keeps the class at a symbol of the instance; the tests of those who use
 * this notice a change.
 */
export function replaceGetter<Name extends keyof FastifyRequest>(
  api: FastifyInstance,
  name: Name,
  get: (this: FastifyRequest) => FastifyRequest[Name],
): void {
  const symbol = Object.getOwnPropertySymbols(api).find(({ description }) => description === "fastify.Request")
  const requestClass = symbol && (api as unknown as Record<symbol, { prototype: object }>)[symbol]
  if (!requestClass) throw new Error("This version of Fastify keeps its Request elsewhere: see replaceGetter.")
  Object.defineProperty(requestClass.prototype, name, { configurable: true, get })
}
