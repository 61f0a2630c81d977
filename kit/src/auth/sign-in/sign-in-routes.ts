/** Signing in with a provider: the way there, and the way back. */
import type { FastifyReply, FastifyRequest } from "fastify"
import type { Api } from "../../app.ts"
import type { Config } from "../../core/config/index.ts"
import { HtmlPage, html } from "../../core/html.ts"
import type { Log } from "../../core/log.ts"
import { Type } from "../../core/schema.ts"
import { enter } from "../enter.ts"
import type { Accounts } from "../log-in.ts"
import type { Surroundings } from "../pages/login-page.ts"
import { wantedNext } from "../pages/next-path.ts"
import { sendPage } from "../pages/page.ts"
import { createCookie } from "../session-cookie.ts"
import { accountOfPerson } from "./account-of-person.ts"
import { keepSignIn, newBrowserSecret, newState, secretsOf, signInMs, takeSignIn } from "./begun.ts"
import { SignInFailure } from "./failure.ts"
import type { Provider } from "./provider.ts"

export interface SignInOptions {
  accounts: Accounts
  config: Config
  here: Surroundings
  providers: readonly Provider[]
  log: Log
}

/** No HEAD, which Fastify would add: a look at the way back would use it up. */
const route = {
  role: "visitor",
  exposeHeadRoute: false,
  schema: { hide: true, response: { 200: HtmlPage, 303: Type.Null(), "4xx": HtmlPage, "5xx": HtmlPage } },
} as const

export function signInRoutes(api: Api, { accounts, config, here, providers, log }: SignInOptions): void {
  const { db, settings, greet } = accounts
  // The way back begins on a page of the provider: a stricter cookie would not come along. For this host only, since nobody
  // else begins sign-ins for it.
  const cookie = createCookie("sign_in", { ...config.session, same_site: "lax", domain: undefined })
  const isStrict = config.session.same_site === "strict"

  for (const provider of providers) {
    const path = `/auth/sign-in/${provider.id}`
    const wayBack = (request: FastifyRequest) =>
      `${config.server.public_url ?? `${request.protocol}://${request.host}`}${path}/callback`

    api.get(path, route, async (request, reply) =>
      orFailure(provider, request, reply, async () => {
        const browser = browserOf(request) ?? newBrowserSecret()
        const state = newState()
        const target = await provider.begin(secretsOf(browser, state), wayBack(request))
        const userId = request.identity?.session && request.caller?.id
        await keepSignIn(db, browser, state, { provider: provider.id, next: wantedNext(request), userId })
        cookie.write(request, reply, browser, signInMs)
        return reply.header("cache-control", "no-store").redirect(target.href, 303)
      }),
    )

    api.get(`${path}/callback`, route, async (request, reply) =>
      orFailure(provider, request, reply, async () => {
        const answer = new URL(wayBack(request))
        for (const [name, value] of answered(request)) answer.searchParams.append(name, value)
        const state = answer.searchParams.get("state")
        const browser = browserOf(request)
        const begun = state && browser && (await takeSignIn(db, provider.id, browser, state))
        if (!begun) throw notBegun()
        const person = await provider.finish(answer, secretsOf(browser, state))
        const { account, isLinked } = await accountOfPerson(db, person, {
          settings,
          provider: provider.name,
          userId: begun.userId,
          greet,
        })
        if (isLinked) log.info(`${provider.name} now opens the account ${account.id} (${request.id})`)
        await enter(accounts, account, request, reply, { remember: true, token: false })
        // From the provider's page a strict cookie does not come along; from a page of ours it does.
        if (isStrict) return sendPage(reply, 200, goOn(begun.next))
        return reply.header("cache-control", "no-store").redirect(begun.next, 303)
      }),
    )
  }

  function browserOf(request: FastifyRequest): string | undefined {
    const value = cookie.read(request)
    return value?.length === 43 ? value : undefined
  }

  async function orFailure(
    { name }: Provider,
    request: FastifyRequest,
    reply: FastifyReply,
    act: () => Promise<FastifyReply>,
  ): Promise<FastifyReply> {
    try {
      return await act()
    } catch (error) {
      if (!(error instanceof SignInFailure)) throw error
      const { status, message, reason, remedy } = error
      log.warn(`Signing in with ${name} failed from ${request.ip} (${request.id}): ${reason}`)
      // Its address has the code of the provider in it.
      reply.header("referrer-policy", "no-referrer")
      return sendPage(reply, status, {
        title: "This did not work",
        app: here.app,
        hasProblem: true,
        body: html`<p>${message}</p><a class="button" href="${remedy.path}">${remedy.label}</a>`,
      })
    }
  }

  const goOn = (next: string) => ({
    title: "You are logged in",
    app: here.app,
    body: html`<a class="button" href="${next}">Go on</a>`,
    goesTo: next,
  })
}

/** The parameters that the browser came back with. A repeated one stays repeated, and is refused where it is read. */
function answered({ query }: FastifyRequest): [string, string][] {
  return Object.entries(query as Record<string, string | string[]>).flatMap(([name, values]) =>
    [values].flat().map((value): [string, string] => [name, value]),
  )
}

const notBegun = () =>
  new SignInFailure(
    400,
    "This login was not begun in this browser, is used already, or took longer than ten minutes. Begin again.",
    "unknown state, or of another browser, or used already, or expired",
  )
