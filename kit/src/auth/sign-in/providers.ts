/** The providers that the settings name. */
import type { Config } from "../../core/config/index.ts"
import { BootError } from "../../core/errors.ts"
import { githubProvider } from "./github.ts"
import { openidProvider } from "./openid.ts"
import type { Provider } from "./provider.ts"

type Settings = Config["sign_in"]

/** Makes them, and asks none of them anything. @throws BootError that names all that is missing */
export function openProviders(settings: Settings): Provider[] {
  const { oidc, github, providers: more } = settings
  const faults = faultsOf(settings)
  if (faults.length > 0) throw new BootError(faults.join("\n"))
  const { issuer, client_id } = oidc
  return [
    ...(issuer && client_id ? [openidProvider({ ...oidc, id: "oidc", issuer, client_id })] : []),
    ...more.map((one) => openidProvider(one)),
    ...(github.client_id && github.client_secret
      ? [githubProvider({ url: github.url, client_id: github.client_id, client_secret: github.client_secret })]
      : []),
  ]
}

function faultsOf({ oidc, github, providers }: Settings): string[] {
  const faults: string[] = []
  const ids = ["oidc", "github", ...providers.map(({ id }) => id)]
  for (const id of new Set(ids.filter((id, at) => ids.indexOf(id) !== at))) {
    faults.push(`sign_in.providers names "${id}" twice, or it is a name of the kit's own. Take another id.`)
  }
  if (oidc.issuer && !oidc.client_id) {
    faults.push("OIDC_ISSUER is set, and OIDC_CLIENT_ID is not. Set what the provider calls this server.")
  }
  if (!oidc.issuer && (oidc.client_id || oidc.client_secret)) {
    faults.push("OIDC_CLIENT_ID or OIDC_CLIENT_SECRET is set, and OIDC_ISSUER is not. Set the provider's issuer.")
  }
  if (github.client_id && !github.client_secret) {
    faults.push("GITHUB_CLIENT_ID is set, and GITHUB_CLIENT_SECRET is not. GitHub needs both.")
  }
  if (!github.client_id && github.client_secret) {
    faults.push("GITHUB_CLIENT_SECRET is set, and GITHUB_CLIENT_ID is not. GitHub needs both.")
  }
  return faults
}
