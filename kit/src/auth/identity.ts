/** What a request's caller is known by. */
import { badRequest, unauthorized } from "../core/errors.ts"
import type { User } from "../core/roles.ts"
import type { Session } from "./sessions.ts"

export interface Identity {
  user: User
  /** Undefined for an API key. */
  session?: SessionIdentity
}

/** A session with the token that the request had. */
export interface SessionIdentity {
  session: Session
  token: string
}

export const invalidBearer = () =>
  unauthorized("The bearer token is wrong, or its session has ended. Log in again.", {
    headers: { "www-authenticate": 'Bearer error="invalid_token"' },
  })

export const notASession = () => badRequest("An API key has no session. Log in with e-mail address and password.")
