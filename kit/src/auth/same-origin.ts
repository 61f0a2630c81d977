/**
 * Refuses requests that another site's page makes a browser send, with the cookies that it has for us (CSRF). Browsers say
 * where a request comes from; curl and mobile apps say nothing, and have no cookies that somebody else could use.
 * Sources: Fetch Metadata (W3C), and Go's http.CrossOriginProtection for what counts as the own origin.
 */
import type { FastifyRequest } from "fastify"
import type { Config } from "../core/config/index.ts"

declare module "fastify" {
  interface FastifyContextConfig {
    /**
     * The body has a secret that no page of another site knows, and the page that sends it tells nobody where it is: its browser
     * says "null" for its origin then.
     */
    hasProof?: boolean
  }
}

/** Methods that change nothing. */
const safeMethods = new Set(["GET", "HEAD", "OPTIONS"])

/** Makes the question whether a request changes something and a page of a foreign origin sent it. */
export function foreignRequests(cors: Config["cors"]): (request: FastifyRequest) => boolean {
  const allowed = new Set(cors.enabled ? cors.allow_origins : [])
  return ({ method, headers, routeOptions }) => {
    if (safeMethods.has(method)) return false
    const { origin, "sec-fetch-site": site } = headers
    if (site === undefined && origin === undefined) return false
    // "none" is a person's own doing: a form of the address bar or of a bookmark.
    if (site === "same-origin" || site === "none") return false
    if (origin === undefined) return true
    if (allowed.has(origin)) return false
    // "*" opens the API to pages that bring no credentials; it trusts none with a user's.
    if (allowed.has("*") && headers.cookie === undefined) return false
    if (origin === "null" && site === undefined && routeOptions.config.hasProof) return false
    // A browser that does not say the site: an old one, or a page that came over plain HTTP.
    return site !== undefined || hostOf(origin) !== headers.host?.toLowerCase()
  }
}

const hostOf = (origin: string): string | undefined => URL.parse(origin)?.host
