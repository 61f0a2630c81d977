/**
 * Who may call what. A route names the lowest role that may call it; this hook, on every route that an application
 * registers, finds the caller and lets through or refuses. Closed by default: a route without a role stops the boot.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify"
import { forbidden, HttpError, unauthorized } from "../core/errors.ts"
import { type Role, reaches, type User } from "../core/roles.ts"
import type { IdentifyToken } from "./api-keys.ts"

declare module "fastify" {
  interface FastifyContextConfig {
    role?: Role
  }
}

/** The `roles` and `api_keys` sections, as far as they concern a request. */
export interface AuthorizeSettings {
  /** The status when the role is too low; 401 is what RESTPie3 answered. */
  deniedStatus: 401 | 403
  /** Undefined when API keys are switched off. */
  identifyToken: IdentifyToken | undefined
}

const logInFirst = "Log in first, or send an API key in the header X-API-Key."
const invalidKey = "Invalid API key"

export function addCallers(api: FastifyInstance): void {
  api.decorateRequest("caller", null)
  api.decorateRequest("user", {
    getter(this: FastifyRequest): User {
      if (!this.caller) throw unauthorized()
      return this.caller
    },
  } as never)
}

/** The `onRequest` hook of a route that asks for `needed`. */
export function authorize(needed: Role, { deniedStatus, identifyToken }: AuthorizeSettings) {
  const refuse = (request: FastifyRequest): Error | undefined => {
    if (reaches(request.caller?.role, needed)) return undefined
    if (!request.caller) return unauthorized(identifyToken && logInFirst)
    const detail = `This needs the role ${needed}; yours is ${request.caller.role}.`
    return deniedStatus === 403 ? forbidden(detail) : new HttpError(401, detail)
  }

  return (request: FastifyRequest, _reply: FastifyReply, done: (error?: Error) => void): void => {
    const key = identifyToken && request.headers["x-api-key"]
    if (!identifyToken || key === undefined) {
      done(refuse(request))
      return
    }
    const identified = (caller: User | undefined) => {
      request.caller = caller ?? null
      // A wrong key is refused even where a visitor may call: its owner should learn of it.
      done(caller ? refuse(request) : unauthorized(invalidKey))
    }
    const caller = identifyToken(String(key))
    if (caller instanceof Promise) caller.then(identified, done)
    else identified(caller)
  }
}
