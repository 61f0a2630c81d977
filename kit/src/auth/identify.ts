/** Finds who calls, from an API key, a bearer token or the cookie of a session. */
import type { FastifyReply, FastifyRequest } from "fastify"
import { forbidden, unauthorized } from "../core/errors.ts"
import type { User } from "../core/roles.ts"
import type { IdentifyToken } from "./api-keys.ts"
import type { Identity } from "./identity.ts"
import type { UserSessions } from "./user-sessions.ts"

/** Undefined for a visitor; a promise where somebody has to be asked. Throws where credentials are wrong. */
export type Identify = (
  request: FastifyRequest,
  reply: FastifyReply,
) => Identity | undefined | Promise<Identity | undefined>

export interface IdentifyOptions {
  /** Undefined when API keys are switched off. */
  identifyKey: IdentifyToken | undefined
  sessions: UserSessions
  isForeign(request: FastifyRequest): boolean
}

export function createIdentify({ identifyKey, sessions, isForeign }: IdentifyOptions): Identify {
  const withKey = (user: User | undefined): Identity => {
    // A wrong key is refused even where a visitor may call: its owner should learn of it.
    if (!user) throw unauthorized("Invalid API key")
    return { user }
  }

  return (request, reply) => {
    const { "x-api-key": key, authorization } = request.headers
    if (identifyKey && key !== undefined) {
      const user = identifyKey(String(key))
      return user instanceof Promise ? user.then(withKey) : withKey(user)
    }
    const bearer = authorization === undefined ? undefined : /^Bearer +(\S+) *$/i.exec(authorization)?.[1]
    if (bearer !== undefined) return sessions.identifyBearer(bearer)
    // The browser adds cookies by itself, whoever's page it is that sends the request.
    if (isForeign(request))
      throw forbidden("A page of another site sent this. Its origin is not among cors.allow_origins.")
    return sessions.identifyCookie(request, reply)
  }
}
