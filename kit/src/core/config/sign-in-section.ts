/** The settings of signing in with other providers; see schema.ts for the rest. */
import { Type } from "typebox"
import { isOnThisMachine } from "../loopback.ts"
import type { SettingOptions } from "./kinds.ts"

const addressExpected =
  'a URL that begins with https:// (http:// only on this machine), without query, such as "https://accounts.example.com"'

/** The address of a provider. What goes over it lets people in, so over TLS, but for what runs on this machine. */
const ProviderUrl = (options: SettingOptions) =>
  Type.Decode(Type.String({ expected: addressExpected, ...options }), (text) => {
    const url = URL.parse(text)
    if (!url || url.search || url.hash || url.username || url.password) throw new TypeError(addressExpected)
    if (url.protocol !== "https:" && !isOnThisMachine(url)) throw new TypeError(addressExpected)
    if (url.pathname.includes("/.well-known/")) {
      throw new TypeError('the issuer itself, the part before "/.well-known/openid-configuration"')
    }
    return text
  })

const clientId = { minLength: 1, description: "What the provider calls this server." }
const clientSecret = { minLength: 1, description: "The secret of the OAuth app there." }

const trustDescription =
  "Take addresses for verified although the provider does not say so. Only for a provider whose addresses nobody can choose freely, such as that of your company."

export const sign_in = Type.Object(
  {
    oidc: Type.Object({
      issuer: Type.Optional(
        ProviderUrl({
          env: "OIDC_ISSUER",
          description: "An OpenID Connect provider, by its issuer: what its discovery document calls itself.",
        }),
      ),
      client_id: Type.Optional(Type.String({ ...clientId, env: "OIDC_CLIENT_ID" })),
      client_secret: Type.Optional(
        Type.String({
          ...clientSecret,
          env: "OIDC_CLIENT_SECRET",
          description: "Its password there. Without it the client is a public one, which PKCE alone protects.",
        }),
      ),
      name: Type.String({
        env: "OIDC_NAME",
        default: "Single sign-on",
        minLength: 1,
        maxLength: 50,
        description: 'What the button says behind "Continue with".',
      }),
      trust_email: Type.Boolean({ env: "OIDC_TRUST_EMAIL", default: false, description: trustDescription }),
    }),
    github: Type.Object({
      client_id: Type.Optional(Type.String({ ...clientId, env: "GITHUB_CLIENT_ID" })),
      client_secret: Type.Optional(Type.String({ ...clientSecret, env: "GITHUB_CLIENT_SECRET" })),
      url: ProviderUrl({
        env: "GITHUB_URL",
        default: "https://github.com",
        description: "Another GitHub: GitHub Enterprise Server, or one with data residency.",
      }),
    }),
    providers: Type.Array(
      Type.Object(
        {
          id: Type.String({
            pattern: "^[a-z][a-z0-9-]{0,30}$",
            expected: 'a short name for the URL, such as "company"',
          }),
          name: Type.String({ minLength: 1, maxLength: 50 }),
          issuer: ProviderUrl({}),
          client_id: Type.String(clientId),
          client_secret: Type.Optional(Type.String(clientSecret)),
          trust_email: Type.Boolean({ default: false }),
        },
        { additionalProperties: false },
      ),
      {
        default: [],
        description:
          "More OpenID Connect providers, each with `id`, `name`, `issuer`, `client_id`, `client_secret` and `trust_email`.",
      },
    ),
  },
  { description: "Signing in with other providers: [sign-in.md](sign-in.md)." },
)
