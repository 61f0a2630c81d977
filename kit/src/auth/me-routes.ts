/** What people can do with their own account. */
import type { FastifyRequest } from "fastify"
import type { Api } from "../app.ts"
import { badRequest, conflict, forbidden, notFound, unauthorized } from "../core/errors.ts"
import { Id, Timestamp, Type } from "../core/schema.ts"
import type { Db } from "../db/database.ts"
import { Password } from "./account-routes.ts"
import {
  Account,
  type AccountRow,
  accountById,
  accountOf,
  Company,
  changeAccount,
  changePassword,
  deleteAccount,
  PersonName,
} from "./accounts.ts"
import type { Identity } from "./identity.ts"
import { type Accounts, checkOwner, refuseWeak } from "./log-in.ts"

/** More than others see of it. */
const MyAccount = Type.Object({
  ...Account.properties,
  email_verified: Type.Optional(
    Type.Boolean({ description: "Whether its address is verified; where `accounts.verify_email` is not off." }),
  ),
})
const Me = Type.Object({ me: MyAccount })
const Nothing = Type.Object({})

const MyChange = Type.Object({
  first_name: Type.Optional(PersonName),
  last_name: Type.Optional(PersonName),
  company: Type.Optional(Type.Union([Company, Type.Null()])),
})

const OwnSession = Type.Object({
  id: Id,
  kind: Type.Enum(["cookie", "token"]),
  created: Timestamp,
  renewed: Timestamp,
  expires: Timestamp,
  address: Type.String(),
  agent: Type.String(),
  current: Type.Boolean({ description: "Whether this request came with it." }),
})

export function meRoutes(api: Api, accounts: Accounts): void {
  const { db, passwords, sessions, settings } = accounts
  const mine = (row: AccountRow) => ({
    me: { ...accountOf(row), ...(settings.verify_email !== "off" && { email_verified: row.verified !== null }) },
  })

  /** Returns the account of whoever is logged in. */
  api.get("/api/me", { role: "readonly", schema: { response: { 200: Me } } }, async (request) =>
    mine(await accountOfCaller(db, request)),
  )

  /** Changes names and company. */
  api.patch("/api/me", { role: "readonly", schema: { body: MyChange, response: { 200: Me } } }, async (request) => {
    const { id } = await accountOfCaller(db, request)
    const row = await changeAccount(db, id, request.body)
    sessions.ownerChanged(id)
    return mine(row ?? gone())
  })

  /**
   * Deletes the account, with its sessions. What it created stays.
   * Asks for the password; of an account that has none, for a login of a moment ago.
   */
  api.delete(
    "/api/me",
    {
      role: "readonly",
      schema: { body: Type.Object({ password: Type.Optional(Password) }), response: { 200: Nothing } },
    },
    async (request, reply) => {
      const row = await accountOfCaller(db, request)
      const { id } = row
      await checkOwner(accounts, request, row, request.body.password)
      await deleteAccount(db, id)
      await sessions.endAll(id)
      sessions.clearCookie(request, reply)
      return {}
    },
  )

  /**
   * Changes the password. Ends all other sessions, and gives this one a new token.
   * An account that has none gets one without `current_password`, after a login of a moment ago.
   */
  api.post(
    "/api/me/password",
    {
      role: "readonly",
      schema: {
        body: Type.Object({ current_password: Type.Optional(Password), new_password: Password }),
        response: { 200: Type.Object({ token: Type.Optional(Type.String()) }) },
      },
    },
    async (request, reply) => {
      const { current_password, new_password } = request.body
      const owner = await accountOfCaller(db, request)
      const { email, first_name, last_name, id } = owner
      await checkOwner(accounts, request, owner, current_password)
      if (new_password === current_password) throw badRequest("The new password is the current one. Choose another.")
      refuseWeak(accounts, new_password, { email, names: [first_name, last_name] }, "new_password")
      const row = await changePassword(db, owner, await passwords.hash(new_password))
      if (!row) throw conflict("The password was changed by another request meanwhile. Log in with the new one.")
      const identity = request.identity as Identity
      await sessions.endAll(id, identity.session?.session.id)
      const token = await sessions.renewAfterLogin(row, identity, request, reply)
      return identity.session?.session.kind === "token" ? { token } : {}
    },
  )

  /** Returns the sessions of the account, newest first. */
  api.get(
    "/api/me/sessions",
    { role: "readonly", schema: { response: { 200: Type.Array(OwnSession) } } },
    async (request) => {
      const { id } = await accountOfCaller(db, request)
      const current = request.identity?.session?.session.id
      return (await sessions.list(id)).map(({ userId, remember, rights, authenticated, ...session }) => ({
        ...session,
        current: session.id === current,
      }))
    },
  )

  /** Ends one of the account's sessions. */
  api.delete(
    "/api/me/sessions/:id",
    { role: "readonly", schema: { params: Type.Object({ id: Id }), response: { 200: Nothing } } },
    async (request) => {
      const { id: userId } = await accountOfCaller(db, request)
      if (!(await sessions.end({ userId, id: request.params.id }))) throw notFound("session")
      return {}
    },
  )
}

/** The account that the request came for. @throws HttpError 403 for an API key, which has none */
export async function accountOfCaller(db: Db, { user }: FastifyRequest): Promise<AccountRow> {
  if (user.via === "api_key") throw forbidden("An API key has no account. Log in with e-mail address and password.")
  return (await accountById(db, user.id)) ?? gone()
}

/** The account was deleted a moment ago. */
function gone(): never {
  throw unauthorized()
}
