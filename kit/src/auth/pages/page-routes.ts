/** Logging in, signing up and logging out in a browser, without JavaScript. The same as the routes of the API, as pages. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import type { FastifyReply, FastifyRequest } from "fastify"
import type { Api } from "../../app.ts"
import { HttpError } from "../../core/errors.ts"
import { HtmlPage } from "../../core/html.ts"
import { Type } from "../../core/schema.ts"
import { Password } from "../account-routes.ts"
import { Company, EmailAddress, PersonName } from "../accounts.ts"
import { type Accounts, checkLogin, enter } from "../log-in.ts"
import { signUp } from "../sign-up.ts"
import { type Form, formOf } from "./form-bodies.ts"
import { type FormState, loggedInPage, loginPage, loginWords, type Surroundings } from "./login-page.ts"
import { nextPath, wantedNext } from "./next-path.ts"
import { type Page, sendPage } from "./page.ts"
import { isForPeople, problemsOf, refusedFields } from "./problems.ts"
import { signedUpPage, signupPage, signupWords } from "./signup-page.ts"

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
const page = { hide: true, response: { 200: HtmlPage, 303: Type.Null(), "4xx": HtmlPage, 503: HtmlPage } }

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
        const row = await signUp(accounts, {
          email: form.email!,
          password: form.password!,
          first_name: form.fname!,
          last_name: form.lname!,
          company: form.company || undefined,
        })
        if (!row) return signedUpPage(here, next)
        await enter(accounts, row, request, reply, { remember: form.remember !== undefined, token: false })
        return undefined
      }),
  )
}

/**
 * Does what a form is for, and goes on to where it says, or shows the page that comes of it. What the client can put right is
 * shown with the form, as it was filled in but for the password.
 */
async function withForm(
  request: FastifyRequest,
  reply: FastifyReply,
  words: Readonly<Record<string, string>>,
  show: (state: FormState) => Page,
  act: (form: Form, next: string) => Promise<Page | undefined>,
): Promise<FastifyReply> {
  const form = formOf(request)
  const next = nextPath(form.next)
  const refused = request.validationError as Error | undefined
  try {
    if (refused) throw refused
    const result = await act(form, next)
    if (result) return sendPage(reply, 200, result)
    return reply.header("cache-control", "no-store").redirect(next, 303)
  } catch (error) {
    if (!(error instanceof HttpError) || !isForPeople(error.statusCode)) throw error
    const problems = error === refused ? refusedFields(error.errors ?? [], words) : problemsOf(error)
    return sendPage(reply.headers(error.headers ?? {}), error.statusCode, show({ next, form, problems }))
  }
}
