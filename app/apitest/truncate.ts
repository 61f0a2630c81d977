/** For the tests of a front-end, which begin with an empty database. It is not there in production. */
import { type Api, sql, Type } from "trestle"

export async function truncate(api: Api) {
  if (api.mode === "production") return

  /** Deletes all movies. Accounts stay. */
  api.post("/", { role: "visitor", schema: { response: { 200: Type.Object({}) } } }, async () => {
    await sql`truncate movies`.execute(api.db)
    return {}
  })
}
