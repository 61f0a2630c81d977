/** An OpenID Connect provider, found by its discovery document. */
import type { ClientAuth, Configuration } from "openid-client"
import { isOnThisMachine } from "../../core/loopback.ts"
import { failureOf } from "./failure.ts"
import { challengeOf, loadClient, providerTimeoutS } from "./oauth-client.ts"
import { firstAndLast } from "./person-names.ts"
import type { Provider, SignInSecrets } from "./provider.ts"

export interface OpenidSettings {
  id: string
  name: string
  issuer: string
  client_id: string
  client_secret?: string | undefined
  trust_email: boolean
}

/** @param timeoutS how long each request to it may take, in seconds */
export function openidProvider(settings: OpenidSettings, timeoutS = providerTimeoutS): Provider {
  const { id, name, issuer, trust_email: trustsEmail } = settings
  let known: Promise<Configuration> | undefined
  // Asked when it is first needed, so that a provider that is away stops no start, and anew after a failure.
  const configuration = (): Promise<Configuration> => {
    known ??= discover(settings).catch((error) => {
      known = undefined
      throw error
    })
    return known
  }

  return {
    id,
    issuer,
    name,
    async begin({ state, nonce, verifier }, redirectUri) {
      try {
        const { buildAuthorizationUrl } = await loadClient()
        return buildAuthorizationUrl(await configuration(), {
          redirect_uri: redirectUri,
          scope: "openid email profile",
          state,
          nonce,
          code_challenge: challengeOf(verifier),
          code_challenge_method: "S256",
        })
      } catch (error) {
        throw failureOf(name, error)
      }
    },

    async finish(answer, secrets) {
      try {
        const claims = await claimsOf(await configuration(), answer, secrets, trustsEmail)
        const { firstName, lastName } = firstAndLast(claims.given_name, claims.family_name, claims.name)
        return {
          issuer: claims.iss,
          subject: claims.sub,
          email: typeof claims.email === "string" ? claims.email : undefined,
          // Some say it as text.
          isVerified: trustsEmail || claims.email_verified === true || claims.email_verified === "true",
          firstName,
          lastName,
        }
      } catch (error) {
        const failure = failureOf(name, error)
        // Its keys or its addresses may be others by now. What a client can bring about by itself is no reason to ask.
        if (failure.status === 502) known = undefined
        throw failure
      }
    },
  }

  async function discover({ client_id, client_secret }: OpenidSettings): Promise<Configuration> {
    const client = await loadClient()
    const url = new URL(issuer)
    const authentication = client_secret ? bySecret(client, client_secret) : client.None()
    return client.discovery(url, client_id, undefined, authentication, {
      timeout: timeoutS,
      // Over TLS an ID token from the provider itself needs no check of its signature (OpenID Connect Core, section
      // 3.1.3.7). It is checked all the same, against a proxy that reads TLS.
      execute: [client.enableNonRepudiationChecks, ...(isOnThisMachine(url) ? [client.allowInsecureRequests] : [])],
    })
  }
}

/**
 * How the secret is sent, as the provider takes it: `client_secret_basic` where it says nothing (OpenID Connect Discovery,
 * section 3). In the body where that is taken, since some decode the header in their own way.
 */
function bySecret(client: Awaited<ReturnType<typeof loadClient>>, secret: string): ClientAuth {
  const inBody = client.ClientSecretPost(secret)
  const inHeader = client.ClientSecretBasic(secret)
  return (server, ...rest) => {
    const methods = server.token_endpoint_auth_methods_supported
    return (methods?.includes("client_secret_post") ? inBody : inHeader)(server, ...rest)
  }
}

/**
 * Fetches the tokens, which are not kept, and reads who it is: in the ID token and, where that does not tell whose the address
 * is, at the provider. An address and whether it is verified are always of one source.
 */
async function claimsOf(
  configuration: Configuration,
  answer: URL,
  { state, nonce, verifier }: SignInSecrets,
  trustsEmail: boolean,
) {
  const client = await loadClient()
  const tokens = await client.authorizationCodeGrant(configuration, answer, {
    expectedState: state,
    expectedNonce: nonce,
    pkceCodeVerifier: verifier,
  })
  const claims = tokens.claims()!
  const isTold = claims.email !== undefined && (claims.email_verified !== undefined || trustsEmail)
  if (isTold || !configuration.serverMetadata().userinfo_endpoint) return claims
  const more = await client.fetchUserInfo(configuration, tokens.access_token, claims.sub)
  if (more.email === undefined) return claims
  return { ...more, ...claims, email: more.email, email_verified: more.email_verified }
}
