/** Why a sign-in failed: a sentence for the person, and a reason for the log that holds no secret. */

/** Ends a sign-in. Its message is shown to the person; {@link reason} goes to the log. */
export class SignInFailure extends Error {
  readonly status: 400 | 403 | 502 | 503
  readonly reason: string
  /** What the person can do now. */
  readonly remedy: Remedy

  constructor(status: SignInFailure["status"], message: string, reason: string, remedy: Remedy = backToLogin) {
    super(message)
    this.name = "SignInFailure"
    this.status = status
    this.reason = reason
    this.remedy = remedy
  }
}

export interface Remedy {
  path: string
  label: string
}

const backToLogin: Remedy = { path: "/auth/login", label: "Back to the login" }

/** As much of an error as may be told: those of openid-client carry whole answers, tokens included, as their cause. */
interface Told {
  message?: string
  code?: string
  /** The provider's own words (RFC 6749, sections 4.1.2.1 and 5.2). */
  error?: string
  error_description?: string
  status?: number
  cause?: unknown
}

/** What the person can do about what openid-client threw. */
export function failureOf(name: string, error: unknown): SignInFailure {
  if (error instanceof SignInFailure) return error
  const { code, error: said } = error as Told
  const fail = (status: 400 | 502, message: string) => new SignInFailure(status, message, reasonOf(error))
  switch (code) {
    case "OAUTH_AUTHORIZATION_RESPONSE_ERROR":
      return said === "access_denied"
        ? fail(400, `${name} did not let you in, or you went back. Try again, or log in another way.`)
        : fail(502, `${name} could not do it now. Try again, or log in another way.`)
    case "OAUTH_RESPONSE_BODY_ERROR":
      return said === "invalid_grant" ? fail(400, outdated(name)) : fail(502, unfit(name))
    // What came does not belong to this sign-in: another provider's answer, another nonce, a code that was used.
    case "OAUTH_INVALID_RESPONSE":
    case "OAUTH_JWT_CLAIM_COMPARISON_FAILED":
    case "OAUTH_JWT_TIMESTAMP_CHECK_FAILED":
      return fail(400, outdated(name))
    case "OAUTH_TIMEOUT":
    case undefined:
      return fail(502, `${name} cannot be reached. Try again soon, or log in another way.`)
    default:
      return fail(502, unfit(name))
  }
}

const outdated = (name: string) => `What ${name} answered does not fit this login. Begin again.`
const unfit = (name: string) => `${name} answered in a way that is not understood. Try again, or log in another way.`

/** Names and messages along the causes, without what they carry. */
function reasonOf(error: unknown): string {
  const parts: string[] = []
  for (let at = error as Told | undefined, depth = 0; at && depth < 4; at = at.cause as Told, depth++) {
    if (typeof at !== "object") break
    const { code, error: said, error_description: described, status } = at
    // JSON.parse quotes what it could not read.
    const message = at instanceof SyntaxError ? "no JSON" : at.message
    const told = [message, code, said, described, status && `status ${status}`].filter((it) => typeof it === "string")
    parts.push(told.map((text) => String(text).slice(0, 200)).join(", "))
  }
  return parts.filter(Boolean).join(": ")
}
