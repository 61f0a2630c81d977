/** Logging in, signing up and logging out in a browser, without JavaScript. The same as the routes of the API, as pages. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import type { Api } from "../../app.ts"
import { HtmlPage } from "../../core/html.ts"
import { Type } from "../../core/schema.ts"
import { Password } from "../account-routes.ts"
import { Company, EmailAddress, PersonName } from "../accounts.ts"
import { enter } from "../enter.ts"
import { type Accounts, checkLogin } from "../log-in.ts"
import { signUp } from "../sign-up.ts"
import { type FormState, loggedInPage, loginPage, loginWords, type Surroundings } from "./login-page.ts"
import { wantedNext } from "./next-path.ts"
import { sendPage } from "./page.ts"
import { signedUpPage, signupPage, signupWords } from "./signup-page.ts"
import { withForm } from "./with-form.ts"

const Sent = { remember: Type.Optional(Type.String()), next: Type.Optional(Type.String()) }
const LoginForm = Type.Object({
  email: Type.String({ minLength: 1, maxLength: 254 }),
  password: Type.String({ minLength: 1, maxLength: 1024 }),
  ...Sent,
})
const SignupForm = Type.Object({
  email: EmailAddress,
  password: Password,
  fname: PersonName,
  lname: PersonName,
  company: Type.Optional(Company),
  ...Sent,
})

/** Our pages are for people: not in the documentation of the API, and none is sent that is not declared. */
export const page = { hide: true, response: { 200: HtmlPage, 303: Type.Null(), "4xx": HtmlPage, 503: HtmlPage } }

export function pageRoutes(api: Api, accounts: Accounts, here: Surroundings): void {
  const { settings, sessions } = accounts
  const style = readFileSync(join(import.meta.dirname, "style.css"), "utf8")

  api.get(
    "/auth/style.css",
    { role: "visitor", etag: true, schema: { hide: true, response: { 200: Type.String() } } },
    async (_request, reply) =>
      reply.headers({ "cache-control": "no-cache" }).type("text/css; charset=utf-8").send(style),
  )

  api.get("/auth/login", { role: "visitor", schema: page }, async (request, reply) => {
    const next = wantedNext(request)
    return sendPage(reply, 200, request.caller ? loggedInPage(here, request.caller, next) : loginPage(here, { next }))
  })

  api.post(
    "/auth/login",
    { role: "visitor", schema: { ...page, body: LoginForm }, attachValidation: true },
    async (request, reply) =>
      withForm(
        request,
        reply,
        loginWords,
        (state) => loginPage(here, state),
        async ({ email, password, remember }) => {
          const row = await checkLogin(accounts, request, { email: email!, password: password! })
          await enter(accounts, row, request, reply, { remember: remember !== undefined, token: false })
          return undefined
        },
      ),
  )

  api.post("/auth/logout", { role: "visitor", schema: page }, async (request, reply) => {
    const { session } = request.identity?.session ?? {}
    if (session?.kind === "cookie") {
      await sessions.end(session)
      sessions.clearCookie(request, reply)
    }
    return reply.header("cache-control", "no-store").redirect("/auth/login", 303)
  })

  if (!settings.signup) return
  const signupForm = (state: FormState) => signupPage(here, state, settings.password_min_length)

  api.get("/auth/signup", { role: "visitor", schema: page }, async (request, reply) => {
    const next = wantedNext(request)
    return sendPage(reply, 200, request.caller ? loggedInPage(here, request.caller, next) : signupForm({ next }))
  })

  api.post(
    "/auth/signup",
    { role: "visitor", schema: { ...page, body: SignupForm }, attachValidation: true },
    async (request, reply) =>
      withForm(request, reply, signupWords, signupForm, async (form, next) => {
        const person = {
          email: form.email!,
          password: form.password!,
          first_name: form.fname!,
          last_name: form.lname!,
          company: form.company || undefined,
        }
        const row = await signUp(accounts, person, request)
        if (!row) return signedUpPage(here, next, settings)
        await enter(accounts, row, request, reply, { remember: form.remember !== undefined, token: false })
        return undefined
      }),
  )
}
