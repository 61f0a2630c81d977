/** Where else people log in to their account: the providers that open it, and that one no longer shall. */
import { sql } from "kysely"
import type { Api } from "../app.ts"
import { conflict, notFound } from "../core/errors.ts"
import { Timestamp, Type } from "../core/schema.ts"
import type { Db } from "../db/database.ts"
import type { Accounts } from "./log-in.ts"
import { accountOfCaller } from "./me-routes.ts"
import type { Provider } from "./sign-in/provider.ts"

const Linked = Type.Object({
  provider: Type.String({
    description: "As it is called in `/auth/sign-in/…`; of one that this server no longer has, its issuer.",
  }),
  since: Timestamp,
})

export function identityRoutes(api: Api, { db }: Accounts, providers: readonly Provider[]): void {
  /** What clients call a provider that is kept by its issuer. */
  const nameOf = (issuer: string) => providers.find((provider) => isSame(provider.issuer, issuer))?.id ?? issuer

  async function linked(db: Db, userId: string) {
    const { rows } = await sql<{ issuer: string; since: string }>`
      select provider as issuer, created as since from trestle.identities where user_id = ${userId}
      order by created, provider, subject`.execute(db)
    return rows.map(({ issuer, since }) => ({ issuer, provider: nameOf(issuer), since }))
  }

  /** Returns the providers that open the account, and since when. */
  api.get(
    "/api/me/identities",
    { role: "readonly", schema: { response: { 200: Type.Array(Linked) } } },
    async (request) => {
      const { id } = await accountOfCaller(db, request)
      return (await linked(db, id)).map(({ provider, since }) => ({ provider, since }))
    },
  )

  /**
   * Lets a provider open the account no longer, as long as there is another way to log in.
   * Sessions go on. Signing in with the provider again, with the verified address of the account, links it anew.
   */
  api.delete(
    "/api/me/identities/:provider",
    {
      role: "readonly",
      schema: {
        params: Type.Object({ provider: Type.String({ minLength: 1, maxLength: 300 }) }),
        response: { 200: Type.Object({}) },
      },
    },
    async (request) => {
      const { provider } = request.params
      const { id } = await accountOfCaller(db, request)
      await db.transaction().execute(async (tx) => {
        // Of two requests that each leave the other's way, the second waits and finds that it is gone.
        const { rows } = await sql<{ password: string | null }>`
          select password from trestle.users where id = ${id} for update`.execute(tx)
        const all = await linked(tx, id)
        const chosen = all.filter((one) => one.provider === provider)
        if (chosen.length === 0) throw notFound("identity")
        const isWay = (one: { provider: string }) =>
          one.provider !== provider && providers.some(({ id }) => id === one.provider)
        if (rows[0]?.password == null && !all.some(isWay)) {
          throw conflict("This is the only way to log in to the account. Set a password first: POST /api/me/password.")
        }
        for (const { issuer } of chosen) {
          await sql`
            delete from trestle.identities where user_id = ${id} and provider = ${issuer}`.execute(tx)
        }
      })
      return {}
    },
  )
}

/** With a slash at the end or without: that is how far settings and tokens may differ. */
const isSame = (a: string, b: string): boolean => URL.parse(a)?.href === URL.parse(b)?.href
