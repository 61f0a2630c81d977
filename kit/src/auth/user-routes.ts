/** What superusers can do with the accounts of others. */
import type { Api } from "../app.ts"
import { badRequest, notFound } from "../core/errors.ts"
import { pageLinks } from "../core/pages.ts"
import { grantableRoles } from "../core/roles.ts"
import { ById, Type } from "../core/schema.ts"
import { Account, accountById, accountOf, changeAccount, findAccounts, Tags } from "./accounts.ts"
import type { Accounts } from "./log-in.ts"

const Search = Type.Object({
  page: Type.Integer({ default: 1, minimum: 1, maximum: 1_000_000 }),
  size: Type.Integer({ default: 100, minimum: 1, maximum: 1000 }),
  search: Type.Optional(Type.String({ maxLength: 200, description: "A part of the address or the name." })),
})

const Change = Type.Object({
  role: Type.Optional(Type.Enum([...grantableRoles])),
  tags: Type.Optional(Tags),
  disabled: Type.Optional(Type.Boolean({ description: "Lets the account in nowhere, and ends its sessions." })),
})

export function userRoutes(api: Api, { db, sessions }: Pick<Accounts, "db" | "sessions">): void {
  /** Returns the accounts that match the search, oldest first, a page at a time. */
  api.get(
    "/api/users",
    { role: "superuser", schema: { querystring: Search, response: { 200: Type.Array(Account) } } },
    async ({ query, url }, reply) => {
      const { accounts, total } = await findAccounts(db, query)
      reply.headers(pageLinks(url, { page: query.page, limit: query.size, limitName: "size", total }))
      return accounts.map(accountOf)
    },
  )

  /** Returns one account. */
  api.get(
    "/api/users/:id",
    { role: "superuser", schema: { params: ById, response: { 200: Account } } },
    async ({ params }) => {
      const row = await accountById(db, params.id)
      if (!row) throw notFound("user")
      return accountOf(row)
    },
  )

  /** Changes role and tags of an account, or disables it. */
  api.patch(
    "/api/users/:id",
    { role: "superuser", schema: { params: ById, body: Change, response: { 200: Account } } },
    async ({ params, body, user }) => {
      if (params.id === user.id && (body.role !== undefined || body.disabled !== undefined)) {
        throw badRequest("Nobody can change their own role: the last superuser could lock everyone out.")
      }
      const row = await changeAccount(db, params.id, body)
      if (!row) throw notFound("user")
      sessions.ownerChanged(row.id)
      if (body.disabled) await sessions.endAll(row.id)
      return accountOf(row)
    },
  )
}
