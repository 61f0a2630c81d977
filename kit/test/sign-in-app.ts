/** An application with a provider to sign in with, for the tests of the way there and back. */
import assert from "node:assert/strict"
import type { TestContext } from "node:test"
import { testApp } from "trestle/testing"
import type { Browser } from "./browser.ts"
import { client, OpenidProvider } from "./openid-provider.ts"
import { sampleApp } from "./sample/app.ts"

const app = sampleApp(() => {})
/** Who logs in at the provider. */
export const anna = {
  sub: "anna-1",
  email: "anna@example.com",
  email_verified: true,
  given_name: "Anna",
  family_name: "Miller",
}

export async function start(t: TestContext, env: Record<string, string> = {}) {
  const provider = new OpenidProvider()
  await provider.listen(t)
  provider.person = anna
  const settings = { OIDC_ISSUER: provider.url, OIDC_CLIENT_ID: client.id, OIDC_CLIENT_SECRET: client.secret, ...env }
  return { provider, ...(await testApp(t, app, { env: settings })) }
}

export type Started = Awaited<ReturnType<typeof start>>

/** What was refused: its status and its sentence; nobody is logged in by it. */
export async function refused(browser: Browser, answer: Awaited<ReturnType<Browser["get"]>>): Promise<string> {
  assert.equal(browser.cookies.has("session"), false)
  assert.equal(answer.headers.get("cache-control"), "no-store")
  assert.match(answer.body, /<a class="button" href="\/auth\/login/)
  return `${answer.status} ${/<h1>.*<\/h1>\s*<p>([^<]*)/.exec(answer.body)?.[1]}`
}

export const notFitting = "400 What Single sign-on answered does not fit this login. Begin again."
export const notBegun =
  "400 This login was not begun in this browser, is used already, or took longer than ten minutes. Begin again."
