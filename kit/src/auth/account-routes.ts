/** Signing up, logging in and out. */
import type { Api } from "../app.ts"
import { BaseResponse, baseResponse } from "../core/base-response.ts"
import { Type } from "../core/schema.ts"
import { Account, accountOf, Company, EmailAddress, PersonName } from "./accounts.ts"
import { enter } from "./enter.ts"
import { type Accounts, checkLogin } from "./log-in.ts"
import { signedUp, signUp } from "./sign-up.ts"

/** Anything that might be a password; what it must be is said by the rules. */
export const Password = Type.String({ maxLength: 1024 })

const Remember = Type.Boolean({ default: true, description: "Whether the session outlives the browser." })

const Signup = Type.Object({
  email: EmailAddress,
  password: Password,
  fname: PersonName,
  lname: PersonName,
  company: Type.Optional(Company),
  remember: Type.Optional(Remember),
})

const Login = Type.Object({
  email: Type.String({ maxLength: 254 }),
  password: Password,
  remember: Type.Optional(Remember),
  token: Type.Optional(
    Type.Boolean({ default: false, description: "Answer with a bearer token instead of a cookie, for mobile apps." }),
  ),
})

const LoggedIn = Type.Object({
  ...Account.properties,
  token: Type.Optional(Type.String({ description: "To be sent as `Authorization: Bearer`; shown only now." })),
})

const Nothing = Type.Object({})

export function accountRoutes(api: Api, accounts: Accounts): void {
  const { settings, sessions } = accounts

  if (settings.signup) {
    /**
     * Makes an account and logs in.
     * Where `accounts.reveal_taken_email` is off, it answers 202 whether the address was free or not, and logs nobody in; so it
     * does where `accounts.verify_email` is required.
     */
    api.post(
      "/api/signup",
      { role: "visitor", schema: { body: Signup, response: { 201: Account, 202: BaseResponse } } },
      async (request, reply) => {
        const { email, password, fname, lname, company, remember = true } = request.body
        const row = await signUp(accounts, { email, password, first_name: fname, last_name: lname, company }, request)
        if (!row) return reply.code(202).send(baseResponse(signedUp(settings)))
        await enter(accounts, row, request, reply, { remember, token: false })
        return reply.code(201).send(accountOf(row))
      },
    )
  }

  /**
   * Logs in with e-mail address and password, and begins a session.
   * Where `accounts.verify_email` is required, it answers 403 until the address is verified, and sends another link.
   */
  api.post(
    "/api/login",
    { role: "visitor", schema: { body: Login, response: { 200: LoggedIn } } },
    async (request, reply) => {
      const { remember = true, token = false, ...credentials } = request.body
      const row = await checkLogin(accounts, request, credentials)
      const made = await enter(accounts, row, request, reply, { remember, token })
      return { ...accountOf(row), ...(token && { token: made }) }
    },
  )

  /** Ends the session. */
  api.post("/api/logout", { role: "readonly", schema: { response: { 200: Nothing } } }, async (request, reply) => {
    const { session } = request.identity?.session ?? {}
    if (session) await sessions.end(session)
    if (session?.kind === "cookie") sessions.clearCookie(request, reply)
    return {}
  })
}
