/**
 * What every route must have and gets: a role, declared responses, a summary from its doc comment. A route that lacks what it
 * must have stops the boot with a sentence that says what to write.
 */
import type { FastifyInstance } from "fastify"
import { type AuthorizeSettings, authorize } from "./auth/authorize.ts"
import { parseDuration } from "./core/duration.ts"
import { BootError } from "./core/errors.ts"
import { isRole, roles } from "./core/roles.ts"
import { didYouMean } from "./core/suggest.ts"
import { docComment } from "./docs/doc-comments.ts"
import type { KitModule } from "./docs/endpoints.ts"
import { etag } from "./http/etag.ts"
import { makeIdempotent } from "./http/idempotency/idempotent-routes.ts"
import { declaredStatuses } from "./http/replies.ts"

/**
 * Holds for the routes that are registered in this scope from now on.
 * @param module what the documentation calls them together; the application's go by their key
 */
export function closeByDefault(api: FastifyInstance, rules: AuthorizeSettings, module?: KitModule): void {
  api.addHook("onRoute", (route) => {
    const { role, timeout, fresh } = route
    const name = `The route ${route.method} ${route.url}`
    if (!role) throw new BootError(`${name} names no role. Write role: "visitor" if everyone may call it.`)
    if (!isRole(role)) {
      throw new BootError(
        `${name} has the role "${role}".${didYouMean(role, roles)} The roles are ${roles.join(", ")}.`,
      )
    }
    if (!route.schema?.response) {
      throw new BootError(
        `${name} declares no responses. Write schema: { response: { 200: … } }: nothing else leaves it.`,
      )
    }
    const doc = docComment()
    route.schema = { ...doc, ...route.schema }
    route.config = {
      ...route.config,
      role,
      ...(module && { module }),
      ...(timeout && { timeoutMs: parseDuration(timeout) }),
    }
    route.onRequest = [
      authorize({ role, freshMs: fresh ? parseDuration(fresh) : undefined }, rules),
      ...[route.onRequest ?? []].flat(),
    ]
    route.onSend = [...[route.onSend ?? []].flat(), declaredStatuses(route), ...(route.etag ? [etag] : [])]
    if (route.idempotent) makeIdempotent(route)
  })
}
