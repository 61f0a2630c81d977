/** Forgotten passwords, verified addresses and other ones: what is done by links in mails. */
import type { Api } from "../app.ts"
import { BaseResponse, baseResponse } from "../core/base-response.ts"
import { Type } from "../core/schema.ts"
import { Password } from "./account-routes.ts"
import { EmailAddress } from "./accounts.ts"
import { type Accounts, checkOwner } from "./log-in.ts"
import { accountOfCaller } from "./me-routes.ts"
import { askForReset, resetAsked, resetPassword } from "./password-reset.ts"
import { askToChange, askToVerify, verifyAddress } from "./verification.ts"

/** What a link in a mail has in its parameter `token`. */
export const LinkToken = Type.String({ maxLength: 200, description: "From the link in the mail." })

const Nothing = Type.Object({})
/** Without the moment that other answers have: the bytes are the same for every address. */
const Asked = Type.Object({ message: Type.String() })

export function linkRoutes(api: Api, accounts: Accounts): void {
  const { db } = accounts

  /**
   * Sends a link to choose a new password, if the address has an account.
   * The answer is the same, in the same time, whether it has one or not.
   */
  api.post(
    "/api/password/forgot",
    { role: "visitor", schema: { body: Type.Object({ email: EmailAddress }), response: { 202: Asked } } },
    async (request, reply) => {
      await askForReset(accounts, request.body.email, request)
      return reply.code(202).send({ message: resetAsked })
    },
  )

  /** Chooses a new password by a link. Ends all sessions of the account, and logs nobody in. */
  api.post(
    "/api/password/reset",
    {
      role: "visitor",
      schema: { body: Type.Object({ token: LinkToken, password: Password }), response: { 200: Nothing } },
    },
    async (request) => {
      await resetPassword(accounts, request.body, request)
      return {}
    },
  )

  /** Verifies an address by a link: the account's own, or one that takes its place. */
  api.post(
    "/api/email/verify",
    { role: "visitor", schema: { body: Type.Object({ token: LinkToken }), response: { 200: Nothing } } },
    async ({ body }) => {
      await verifyAddress(accounts, body.token)
      return {}
    },
  )

  /** Sends another link to verify the account's address. */
  api.post(
    "/api/me/email/verify",
    { role: "readonly", schema: { response: { 202: BaseResponse } } },
    async (request, reply) => {
      await askToVerify(accounts, await accountOfCaller(db, request), request)
      return reply.code(202).send(baseResponse("A mail is on its way, with a link that works for an hour."))
    },
  )

  /**
   * Begins to change the account's address: the new one gets a link that does it, the present one a note.
   * Asks for the password; of an account that has none, for a login of a moment ago.
   */
  api.post(
    "/api/me/email",
    {
      role: "readonly",
      schema: {
        body: Type.Object({ email: EmailAddress, password: Type.Optional(Password) }),
        response: { 202: BaseResponse },
      },
    },
    async (request, reply) => {
      const account = await accountOfCaller(db, request)
      const { email, password } = request.body
      await checkOwner(accounts, request, account, password)
      await askToChange(accounts, account, email, request)
      return reply
        .code(202)
        .send(baseResponse("A mail is on its way to the new address, with a link that works for an hour."))
    },
  )
}
