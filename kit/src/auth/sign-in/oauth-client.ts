/** openid-client, as both kinds of provider use it. */
import { hash } from "node:crypto"

/** In seconds, for each request to a provider: a person waits meanwhile. */
export const providerTimeoutS = 5

/** Loaded with the first sign-in: most servers have none, and it takes 6 MB. */
export const loadClient = () => import("openid-client")

/** What is sent ahead of the verifier (RFC 7636, section 4.2). */
export const challengeOf = (verifier: string): string => hash("sha256", verifier, "base64url")
