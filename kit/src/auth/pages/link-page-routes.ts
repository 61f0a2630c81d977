/** A new password and a verified address in a browser, without JavaScript. The same as the routes of the API, as pages. */
import type { FastifyReply, FastifyRequest } from "fastify"
import type { Api } from "../../app.ts"
import { HttpError } from "../../core/errors.ts"
import { Type } from "../../core/schema.ts"
import { deadLink, findLink, type Linked, type Purpose } from "../account-links.ts"
import { Password } from "../account-routes.ts"
import { EmailAddress } from "../accounts.ts"
import { LinkToken } from "../link-routes.ts"
import type { Accounts } from "../log-in.ts"
import { askForReset, resetPassword } from "../password-reset.ts"
import { verifyAddress } from "../verification.ts"
import { formOf } from "./form-bodies.ts"
import {
  askedPage,
  deadLinkPage,
  forgotPage,
  forgotWords,
  resetDonePage,
  resetPage,
  resetWords,
  verifiedPage,
  verifyPage,
} from "./link-pages.ts"
import type { Surroundings } from "./login-page.ts"
import { type Page, sendPage } from "./page.ts"
import { page } from "./page-routes.ts"
import { withForm } from "./with-form.ts"

const ForgotForm = Type.Object({ email: EmailAddress })
const ResetForm = Type.Object({ token: LinkToken, password: Password, email: Type.Optional(Type.String()) })
const VerifyForm = Type.Object({ token: LinkToken })

const again = {
  reset: { path: "/auth/forgot", label: "Ask for another link" },
  // Logging in sends another one where the address has to be verified.
  verify: { path: "/auth/login", label: "Log in" },
}

export function linkPageRoutes(api: Api, accounts: Accounts, here: Surroundings): void {
  const { db, settings } = accounts

  api.get("/auth/forgot", { role: "visitor", schema: page }, async (_request, reply) =>
    sendPage(reply, 200, forgotPage(here, { next: "/" })),
  )

  api.post(
    "/auth/forgot",
    { role: "visitor", schema: { ...page, body: ForgotForm }, attachValidation: true },
    async (request, reply) =>
      withForm(
        request,
        reply,
        forgotWords,
        (state) => forgotPage(here, state),
        async ({ email }) => {
          await askForReset(accounts, email!, request)
          return askedPage(here)
        },
      ),
  )

  /** What the link of a page opens, with the answer to one that opens nothing. */
  async function orDead(
    reply: FastifyReply,
    token: unknown,
    purposes: readonly Purpose[],
    show: (token: string, link: Linked) => Promise<FastifyReply> | FastifyReply,
  ): Promise<FastifyReply> {
    // The address of the page has the token in it: no other page is told where its visitor came from.
    reply.header("referrer-policy", "no-referrer")
    const link = typeof token === "string" ? await findLink(db, token, purposes) : undefined
    if (link) return show(token as string, link)
    return dead(reply, purposes, deadLink())
  }

  const dead = (reply: FastifyReply, purposes: readonly Purpose[], { message, statusCode }: HttpError) =>
    sendPage(reply, statusCode, deadLinkPage(here, message, purposes.includes("reset") ? again.reset : again.verify))

  api.get("/auth/reset", { role: "visitor", schema: page }, async (request, reply) =>
    orDead(reply, tokenOf(request), ["reset"], (token, { email }) =>
      sendPage(reply, 200, resetPage(here, { token, email, minLength: settings.password_min_length }, {})),
    ),
  )

  api.post(
    "/auth/reset",
    { role: "visitor", schema: { ...page, body: ResetForm }, attachValidation: true, config: { hasProof: true } },
    async (request, reply) =>
      orDead(reply, formOf(request).token, ["reset"], (token, { email }) => {
        const show = (state: { problems?: Parameters<typeof resetPage>[2]["problems"] }): Page =>
          resetPage(here, { token, email, minLength: settings.password_min_length }, state)
        return withForm(request, reply, resetWords, show, async ({ password }) => {
          await resetPassword(accounts, { token, password: password! }, request)
          return resetDonePage(here)
        })
      }),
  )

  const addresses = ["verify", "change"] as const

  api.get("/auth/verify", { role: "visitor", schema: page }, async (request, reply) =>
    orDead(reply, tokenOf(request), addresses, (token, link) => sendPage(reply, 200, verifyPage(here, token, link))),
  )

  api.post(
    "/auth/verify",
    { role: "visitor", schema: { ...page, body: VerifyForm }, attachValidation: true, config: { hasProof: true } },
    async (request, reply) =>
      orDead(reply, formOf(request).token, addresses, async (token) => {
        try {
          await verifyAddress(accounts, token)
        } catch (error) {
          if (!(error instanceof HttpError) || error.statusCode !== 400) throw error
          return dead(reply, addresses, error)
        }
        return sendPage(reply, 200, verifiedPage(here))
      }),
  )
}

const tokenOf = ({ query }: FastifyRequest): unknown => (query as Record<string, unknown>).token
