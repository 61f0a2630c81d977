/** GitHub: OAuth 2 with an API of its own for who somebody is. It has no ID tokens. */
import type { Configuration } from "openid-client"
import { isOnThisMachine } from "../../core/loopback.ts"
import { failureOf, SignInFailure } from "./failure.ts"
import { challengeOf, loadClient, providerTimeoutS } from "./oauth-client.ts"
import { firstAndLast } from "./person-names.ts"
import type { Provider } from "./provider.ts"

export interface GithubSettings {
  client_id: string
  client_secret: string
  /** `https://github.com`, or another GitHub. */
  url: string
}

/** An entry of `GET /user/emails`. */
interface GithubEmail {
  email: string
  primary: boolean
  verified: boolean
}

export function githubProvider({ client_id, client_secret, url }: GithubSettings): Provider {
  const name = "GitHub"
  const site = new URL(url).origin
  const api = apiOf(site)
  // As GitHub calls itself: https://docs.github.com/en/apps/github-authentication-discovery-endpoints
  const issuer = `${site}/login/oauth`
  let known: Configuration | undefined
  const configuration = async (): Promise<Configuration> => {
    const client = await loadClient()
    known ??= new client.Configuration(
      { issuer, authorization_endpoint: `${issuer}/authorize`, token_endpoint: `${issuer}/access_token` },
      client_id,
      undefined,
      client.ClientSecretPost(client_secret),
    )
    known.timeout = providerTimeoutS
    if (isOnThisMachine(new URL(site))) client.allowInsecureRequests(known)
    return known
  }

  return {
    id: "github",
    issuer,
    name,
    async begin({ state, verifier }, redirectUri) {
      const { buildAuthorizationUrl } = await loadClient()
      return buildAuthorizationUrl(await configuration(), {
        redirect_uri: redirectUri,
        scope: "read:user user:email",
        state,
        code_challenge: challengeOf(verifier),
        code_challenge_method: "S256",
      })
    },

    async finish(answer, { state, verifier }) {
      try {
        const client = await loadClient()
        // GitHub names its issuer there since April 2026, and an own one may name it wrongly. That each provider has a way
        // back of its own protects from mixing them up as well (RFC 9700, section 4.4.2).
        answer.searchParams.delete("iss")
        const tokens = await client.authorizationCodeGrant(await configuration(), answer, {
          expectedState: state,
          pkceCodeVerifier: verifier,
        })
        const [user, emails] = await Promise.all([
          ask(tokens.access_token, "/user") as Promise<{ id: number; login: string; name: string | null }>,
          ask(tokens.access_token, "/user/emails") as Promise<GithubEmail[]>,
        ])
        // A login can be changed and then taken by somebody else; the number never.
        if (!Number.isSafeInteger(user.id) || !Array.isArray(emails)) throw unreadable("has other fields than GitHub's")
        const primary = emails.find((one) => one.primary)
        const names = firstAndLast(undefined, undefined, user.name || user.login)
        return {
          issuer,
          subject: String(user.id),
          email: primary?.email,
          isVerified: primary?.verified === true,
          ...names,
        }
      } catch (error) {
        throw failureOf(name, error)
      }
    },
  }

  async function ask(token: string, path: string): Promise<unknown> {
    const client = await loadClient()
    const headers = new Headers({ accept: "application/vnd.github+json", "x-github-api-version": "2022-11-28" })
    const target = new URL(api + path)
    const response = await client.fetchProtectedResource(
      await configuration(),
      token,
      target,
      "GET",
      undefined,
      headers,
    )
    if (response.status === 200) return response.json()
    await response.body?.cancel()
    throw unreadable(`has the status ${response.status}`)
  }
}

const unreadable = (why: string) =>
  new SignInFailure(502, "GitHub did not say who you are. Try again, or log in another way.", `its answer ${why}`)

/** Where the API of a GitHub is: https://docs.github.com/en/rest/using-the-rest-api/getting-started-with-the-rest-api */
function apiOf(site: string): string {
  const { protocol, host } = new URL(site)
  const isCloud = host === "github.com" || host.endsWith(".ghe.com")
  return isCloud ? `${protocol}//api.${host}` : `${site}/api/v3`
}
