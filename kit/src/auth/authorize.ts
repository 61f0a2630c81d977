/**
 * Who may call what. A route names the lowest role that may call it; this hook, on every route that an application
 * registers, finds the caller and lets through or refuses. Closed by default: a route without a role stops the boot.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify"
import { forbidden, HttpError, unauthorized } from "../core/errors.ts"
import { type Role, reaches, type User } from "../core/roles.ts"
import type { Identify } from "./identify.ts"
import type { Identity } from "./identity.ts"

declare module "fastify" {
  interface FastifyContextConfig {
    role?: Role
  }
  interface FastifyRequest {
    /** What the caller is known by; null for a visitor. */
    identity: Identity | null
  }
}

/** What the routes of a server have in common. */
export interface AuthorizeSettings {
  /** The status when the role is too low; 401 is what RESTPie3 answered. */
  deniedStatus: 401 | 403
  identify: Identify
}

/** What a route asks of its caller. */
export interface Needs {
  role: Role
  /** How long ago a person's login may be, in milliseconds; see `fresh` on the route. */
  freshMs?: number | undefined
}

export function addCallers(api: FastifyInstance): void {
  api.decorateRequest("identity", null)
  api.decorateRequest("caller", null)
  api.decorateRequest("user", {
    getter(this: FastifyRequest): User {
      if (!this.caller) throw unauthorized()
      return this.caller
    },
  } as never)
}

/** The `onRequest` hook of a route. */
export function authorize({ role, freshMs }: Needs, { deniedStatus, identify }: AuthorizeSettings) {
  const refusal = (caller: User | null): Error | undefined => {
    if (!reaches(caller?.role, role)) {
      if (!caller) return unauthorized("Log in first, or send an API key in the header X-API-Key.")
      const detail = `This needs the role ${role}; yours is ${caller.role}.`
      return deniedStatus === 403 ? forbidden(detail) : new HttpError(401, detail)
    }
    if (freshMs === undefined) return undefined
    if (!caller) return unauthorized()
    // A machine cannot show that its owner sits before it.
    if (!caller.since) return forbidden("This needs a person who logged in a moment ago, not an API key.")
    return Date.now() - Date.parse(caller.since) <= freshMs
      ? undefined
      : unauthorized("This needs a login of a moment ago. Log in again.")
  }

  return (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void => {
    const identified = (identity: Identity | undefined) => {
      request.identity = identity ?? null
      request.caller = identity?.user ?? null
      done(refusal(request.caller))
    }
    try {
      const identity = identify(request, reply)
      if (identity instanceof Promise) identity.then(identified, done)
      else identified(identity)
    } catch (error) {
      done(error as Error)
    }
  }
}
