/** `request.session`: what an application keeps with a person's session, on the server. */
import type { FastifyInstance, FastifyRequest } from "fastify"
import { unauthorized } from "../core/errors.ts"
import type { RequestSession } from "../core/session.ts"
import { notASession } from "./identity.ts"
import type { UserSessions } from "./user-sessions.ts"

export function requestSessions(api: FastifyInstance, sessions: UserSessions): void {
  api.decorateRequest("session", {
    getter(this: FastifyRequest): RequestSession {
      if (!this.identity) throw unauthorized()
      if (!this.identity.session) throw notASession()
      const { session } = this.identity.session
      const { data } = sessions
      return {
        id: session.id,
        get: (key) => data.read(session.id, key) as never,
        set: (key, value) => (value === undefined ? data.remove(session.id, key) : data.write(session.id, key, value)),
        destroy: async () => void (await sessions.end(session)),
      }
    },
  } as never)
}
