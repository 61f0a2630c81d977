/** Logging in. With an API key there is no session to begin: the answer only says whether the key is good. */

import type { Api } from "../app.ts"
import { BaseResponse, baseResponse } from "../core/base-response.ts"
import { HttpError, unauthorized } from "../core/errors.ts"

/** Adds `GET /api/login`; `apiKeys` is `api_keys.enabled`. */
export function login(api: Api, apiKeys: boolean): void {
  if (!apiKeys) {
    api.get("/api/login", { role: "visitor", schema: { hide: true, response: {} } }, () => {
      throw new HttpError(405, "API keys are switched off on this server.", { headers: { allow: "" } })
    })
    return
  }

  /** Says whether the API key in the header `X-API-Key` is good. */
  api.get("/api/login", { role: "visitor", schema: { response: { 200: BaseResponse } } }, async ({ caller }) => {
    // A wrong key was refused before it came here.
    if (caller?.via !== "api_key") throw unauthorized("Missing API key")
    return baseResponse("Login successful.")
  })
}
