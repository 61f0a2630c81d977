/** Says that the server is alive. Asks nothing of the database: a database that is down is no reason to restart a server. */
import type { Api } from "../app.ts"
import { BaseResponse, baseResponse } from "../core/base-response.ts"

export function health(api: Api): void {
  /** Says that the server is alive. */
  api.get("/api/health", { role: "visitor", schema: { response: { 200: BaseResponse } } }, async () =>
    baseResponse("Server is healthy"),
  )
}
