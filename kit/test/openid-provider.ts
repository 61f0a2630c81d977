/** A small OpenID Connect provider and a small GitHub, on this machine: real answers over HTTP, and wrong ones on demand. */
import { hash, randomBytes } from "node:crypto"
import { once } from "node:events"
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import type { TestContext } from "node:test"
import { exportJWK, generateKeyPair, SignJWT } from "jose"
import type { Browser } from "./browser.ts"

export const client = { id: "trestle-test", secret: "the secret of the client" }

/** What an authorization code stands for. */
interface Grant {
  challenge: string
  nonce: string | undefined
  redirectUri: string
  person: object
}

/** Answers a request that none of the usual answers is wanted for; true when it did. */
type Override = (path: string, response: ServerResponse) => boolean

/** What both kinds have in common: codes that are good once, and only for who began (PKCE). */
class CodeServer {
  url = ""
  /** Who logs in next, without being asked. */
  person: Record<string, unknown> = {}
  /** Every request, as in `GET /token`. */
  requests: string[] = []
  /** The query of the last way there. */
  asked = new URLSearchParams()
  /** How the client said who it is. */
  clientBy = ""
  override: Override = () => false
  /** Added to the address of the way back. */
  moreInAnswer: Record<string, string> = {}
  private readonly grants = new Map<string, Grant>()
  private server: Server | undefined

  async listen(t: TestContext, port = 0): Promise<void> {
    const server = createServer((request, response) => {
      this.answer(request, response).catch((error) => response.writeHead(500).end(String(error)))
    })
    server.listen(port, "127.0.0.1")
    await once(server, "listening")
    this.server = server
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    t.after(() => this.close())
  }

  async close(): Promise<void> {
    this.server?.closeAllConnections()
    if (this.server?.listening) await new Promise((resolve) => this.server!.close(resolve))
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url!, this.url)
    this.requests.push(`${request.method} ${url.pathname}`)
    if (this.override(url.pathname, response)) return
    const body = new URLSearchParams(request.method === "POST" ? await textOf(request) : "")
    const result = await this.route(url, request, body)
    if (typeof result === "string") response.writeHead(302, { location: result }).end()
    else
      response.writeHead(result.status ?? 200, { "content-type": "application/json" }).end(JSON.stringify(result.json))
  }

  protected async route(_url: URL, _request: IncomingMessage, _body: URLSearchParams): Promise<Result> {
    return { status: 404, json: {} }
  }

  /** Sends the browser back with a code. */
  protected authorize(query: URLSearchParams): string {
    this.asked = query
    if (query.get("client_id") !== client.id || query.get("response_type") !== "code") throw new Error("a wrong client")
    if (query.get("code_challenge_method") !== "S256") throw new Error("no PKCE")
    const code = randomBytes(12).toString("hex")
    const redirectUri = query.get("redirect_uri")!
    const nonce = query.get("nonce") ?? undefined
    this.grants.set(code, { challenge: query.get("code_challenge")!, nonce, redirectUri, person: { ...this.person } })
    const back = new URL(redirectUri)
    const answer = { code, state: query.get("state")!, ...this.moreInAnswer }
    for (const [name, value] of Object.entries(answer)) back.searchParams.set(name, value)
    return back.href
  }

  /** What the code stands for; undefined for one that is unknown, used, somebody else's. */
  protected redeem(body: URLSearchParams, request: IncomingMessage): Grant | undefined {
    const basic = Buffer.from(request.headers.authorization?.replace("Basic ", "") ?? "", "base64").toString()
    const [id = "", secret = ""] = basic.split(":").map((part) => decodeURIComponent(part.replaceAll("+", " ")))
    this.clientBy = basic ? "header" : body.has("client_secret") ? "body" : "nothing"
    if ((basic ? id : body.get("client_id")) !== client.id) return undefined
    if (this.clientBy !== "nothing" && (basic ? secret : body.get("client_secret")) !== client.secret) return undefined
    const code = body.get("code")!
    const grant = this.grants.get(code)
    this.grants.delete(code)
    const isTheirs = hash("sha256", body.get("code_verifier") ?? "", "base64url") === grant?.challenge
    return isTheirs && body.get("redirect_uri") === grant?.redirectUri ? grant : undefined
  }
}

type Result = string | { status?: number; json: unknown }

export class OpenidProvider extends CodeServer {
  /** What the ID token says otherwise. */
  changedClaims: Record<string, unknown> = {}
  /** Whether ID tokens are signed by a key that is not the provider's. */
  signsWrongly = false
  /** How clients may say who they are. */
  authMethods: string[] | undefined = ["client_secret_post"]
  /** Told at the userinfo endpoint, and not in the ID token. */
  userinfo: Record<string, unknown> | undefined
  private readonly keys = generateKeyPair("ES256")
  private readonly otherKeys = generateKeyPair("ES256")
  private subject = ""

  protected override async route(url: URL, request: IncomingMessage, body: URLSearchParams): Promise<Result> {
    switch (`${request.method} ${url.pathname}`) {
      case "GET /.well-known/openid-configuration":
        return { json: this.discovery() }
      case "GET /jwks":
        return { json: { keys: [{ ...(await exportJWK((await this.keys).publicKey)), kid: "1", alg: "ES256" }] } }
      case "GET /authorize":
        return this.authorize(url.searchParams)
      case "POST /token": {
        const grant = this.redeem(body, request)
        if (!grant) return { status: 400, json: { error: "invalid_grant", error_description: "this code is not good" } }
        const { sub } = grant.person as { sub: string }
        this.subject = sub
        const idToken = await this.idToken(grant)
        return { json: { access_token: `token of ${sub}`, token_type: "Bearer", expires_in: 60, id_token: idToken } }
      }
      case "GET /userinfo":
        return { json: { sub: this.subject, ...this.userinfo } }
      default:
        return { status: 404, json: {} }
    }
  }

  private async idToken({ nonce, person }: Grant): Promise<string> {
    const claims = { iss: this.url, aud: client.id, nonce, ...person, ...this.changedClaims }
    const { privateKey } = await (this.signsWrongly ? this.otherKeys : this.keys)
    return new SignJWT(claims)
      .setProtectedHeader({ alg: "ES256", kid: "1" })
      .setIssuedAt()
      .setExpirationTime("5 minutes")
      .sign(privateKey)
  }

  private discovery() {
    const { url } = this
    return {
      issuer: url,
      authorization_endpoint: `${url}/authorize`,
      token_endpoint: `${url}/token`,
      jwks_uri: `${url}/jwks`,
      ...(this.userinfo && { userinfo_endpoint: `${url}/userinfo` }),
      id_token_signing_alg_values_supported: ["ES256"],
      ...(this.authMethods && { token_endpoint_auth_methods_supported: this.authMethods }),
    }
  }
}

export class Github extends CodeServer {
  emails: unknown[] = []
  private readonly people = new Map<string, object>()

  protected override async route(url: URL, request: IncomingMessage, body: URLSearchParams): Promise<Result> {
    const token = request.headers.authorization?.replace(/^Bearer /, "") ?? ""
    const person = this.people.get(token)
    switch (`${request.method} ${url.pathname}`) {
      case "GET /login/oauth/authorize":
        return this.authorize(url.searchParams)
      case "POST /login/oauth/access_token": {
        const grant = this.redeem(body, request)
        // As GitHub does it: 200 for an error.
        if (!grant)
          return { json: { error: "bad_verification_code", error_description: "The code passed is incorrect." } }
        const made = `gho_${randomBytes(12).toString("hex")}`
        this.people.set(made, grant.person)
        return { json: { access_token: made, token_type: "bearer", scope: "read:user,user:email" } }
      }
      case "GET /api/v3/user":
        return person ? { json: person } : { status: 401, json: {} }
      case "GET /api/v3/user/emails":
        return person ? { json: this.emails } : { status: 401, json: {} }
      default:
        return { status: 404, json: {} }
    }
  }
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = ""
  for await (const chunk of request) text += chunk
  return text
}

/** As far as a browser goes by itself: to the provider, and to the address that it sends back to, which is not opened yet. */
export async function wayBack(browser: Browser, start = "/auth/sign-in/oidc"): Promise<string> {
  const { status, headers, body } = await browser.get(start)
  if (status !== 303) throw new Error(`${start} answered ${status}: ${body}`)
  const response = await fetch(headers.get("location")!, { redirect: "manual" })
  await response.body?.cancel()
  if (response.status !== 302) throw new Error(`the provider answered ${response.status}`)
  const { pathname, search } = new URL(response.headers.get("location")!)
  return pathname + search
}

/** All the way: to the provider, back, and in. */
export const signIn = async (browser: Browser, start?: string) => browser.get(await wayBack(browser, start))
