/** The pages on which people log in, put together: what holds for all of them, and what they show of the server. */
import type { FastifyError } from "fastify"
import type { Api } from "../../app.ts"
import type { Config } from "../../core/config/index.ts"
import { forbidden, type HttpError } from "../../core/errors.ts"
import { html } from "../../core/html.ts"
import type { Log } from "../../core/log.ts"
import type { Accounts } from "../log-in.ts"
import { foreignRequests } from "../same-origin.ts"
import type { Provider } from "../sign-in/provider.ts"
import { signInRoutes } from "../sign-in/sign-in-routes.ts"
import { readFormBodies } from "./form-bodies.ts"
import { linkPageRoutes } from "./link-page-routes.ts"
import type { Surroundings } from "./login-page.ts"
import { sendPage } from "./page.ts"
import { pageRoutes } from "./page-routes.ts"
import { isForPeople } from "./problems.ts"

export interface AuthPagesOptions {
  accounts: Accounts
  providers: readonly Provider[]
  config: Config
  /** The name of the application. */
  app: string | undefined
  log: Log
}

/** Adds the pages, and signing in with the providers. */
export async function authPages(api: Api, { accounts, providers, config, app, log }: AuthPagesOptions): Promise<void> {
  const { enabled, list, openapi, swagger } = config.docs
  const here: Surroundings = {
    app,
    hasSignup: config.accounts.signup,
    providers,
    docs: enabled && openapi && swagger ? "/api/docs" : enabled && list ? "/api/list" : undefined,
  }
  // What a page of another site sends here would log its visitor in as somebody else: no setting of `cors` allows that.
  const isForeign = foreignRequests({ ...config.cors, enabled: false })

  await api.register(async (scope) => {
    readFormBodies(scope)
    scope.addHook("onRequest", (request, _reply, done) => {
      done(isForeign(request) ? forbidden("A page of another site sent this. Log in on this page instead.") : undefined)
    })
    // People read what programs get as JSON elsewhere.
    scope.setErrorHandler((error: FastifyError | HttpError, _request, reply) => {
      const { statusCode = 500, message, code = "" } = error as FastifyError
      if (!isForPeople(statusCode)) throw error
      reply.isProblem = true
      if ("headers" in error && error.headers) reply.headers(error.headers)
      const text = words[code] ?? message
      const body = html`<p>${text}</p><a class="button" href="/auth/login">Back to the login</a>`
      return sendPage(reply, statusCode, { title: "This did not work", app, hasProblem: true, body })
    })
    pageRoutes(scope as unknown as Api, accounts, here)
    linkPageRoutes(scope as unknown as Api, accounts, here)
    signInRoutes(scope as unknown as Api, { accounts, config, here, providers, log })
  })
}

/** Fastify's errors, for which the API has words of its own. */
const words: Record<string, string> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: "Only the form of the page itself can be sent here.",
  FST_ERR_CTP_BODY_TOO_LARGE: "The form is too large.",
}
