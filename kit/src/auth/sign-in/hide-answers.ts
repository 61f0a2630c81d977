/** Keeps what providers answer out of the log: the code in the address of the way back is a secret until it is used. */
import type { FastifyInstance } from "fastify"
import type { Config } from "../../core/config/index.ts"

const wayBack = /^\/auth\/sign-in\/[^/?]+\/callback\/?\?/

/** Comes before the log of requests. The route still has the parameters: they were read before. */
export function hideAnswers(api: FastifyInstance, { oidc, github, providers }: Config["sign_in"]): void {
  if (!oidc.issuer && !github.client_id && providers.length === 0) return
  api.addHook("onRequest", ({ raw }, _reply, done) => {
    if (raw.url?.startsWith("/auth/") && wayBack.test(raw.url)) raw.url = `${raw.url.split("?", 1)[0]}?***`
    done()
  })
}
