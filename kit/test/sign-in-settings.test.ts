// @together
/** The settings of signing in: what is missing or cannot be is said at the start. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { openProviders } from "../src/auth/sign-in/providers.ts"
import { loadConfig } from "../src/core/config/index.ts"

const providersWith = (env: Record<string, string>) =>
  openProviders(loadConfig({ folder: "/nonexistent", env }).sign_in).map(({ id, name }) => `${id}: ${name}`)

const oidc = { OIDC_ISSUER: "https://login.example.com", OIDC_CLIENT_ID: "id", OIDC_CLIENT_SECRET: "secret" }
const github = { GITHUB_CLIENT_ID: "id", GITHUB_CLIENT_SECRET: "secret" }
const other = { id: "other", name: "Other", issuer: "https://other.example.com", client_id: "id" }

test("providers are those that the environment names", () => {
  assert.deepEqual(providersWith({}), [])
  assert.deepEqual(
    providersWith({ ...oidc, OIDC_NAME: "Company login", ...github, SIGN_IN_PROVIDERS: JSON.stringify([other]) }),
    ["oidc: Company login", "other: Other", "github: GitHub"],
  )
})

test("what is missing is said, all at once", () => {
  assert.throws(() => providersWith({ OIDC_ISSUER: oidc.OIDC_ISSUER, GITHUB_CLIENT_ID: "id" }), {
    name: "BootError",
    message: /OIDC_CLIENT_ID is not\..*\n.*GITHUB_CLIENT_SECRET is not\./,
  })
  assert.throws(() => providersWith({ OIDC_CLIENT_SECRET: "s" }), /OIDC_ISSUER is not/)
  assert.throws(() => providersWith({ GITHUB_CLIENT_SECRET: "s" }), /GITHUB_CLIENT_ID is not/)
  for (const id of ["github", "oidc"]) {
    assert.throws(() => providersWith({ SIGN_IN_PROVIDERS: JSON.stringify([{ ...other, id }]) }), /Take another id/)
  }
  assert.throws(() => providersWith({ SIGN_IN_PROVIDERS: JSON.stringify([other, other]) }), /names "other" twice/)
})

test("a provider is spoken to over TLS, but for one on this machine", () => {
  const wrong = [
    "http://login.example.com",
    "http://127.0.0.1.example.com",
    "login.example.com",
    "https://user:password@login.example.com",
    "https://login.example.com/?tenant=1",
    "https://login.example.com/.well-known/openid-configuration",
    "ftp://localhost",
  ]
  for (const OIDC_ISSUER of wrong)
    assert.throws(() => providersWith({ ...oidc, OIDC_ISSUER }), /OIDC_ISSUER/, OIDC_ISSUER)
  for (const OIDC_ISSUER of [
    "http://localhost:8080/realms/x",
    "http://127.0.0.1:1",
    "http://[::1]:1",
    "https://a.example/b/",
  ]) {
    assert.equal(providersWith({ ...oidc, OIDC_ISSUER }).length, 1, OIDC_ISSUER)
  }
  for (const GITHUB_URL of ["http://github.example.com", "github.example.com"]) {
    assert.throws(() => providersWith({ ...github, GITHUB_URL }), /GITHUB_URL/, GITHUB_URL)
  }
})

test("a public URL is an origin", () => {
  for (const PUBLIC_URL of [
    "api.example.com",
    "https://api.example.com/api",
    "https://x.example/?a",
    "ftp://x.example",
  ]) {
    assert.throws(() => providersWith({ PUBLIC_URL }), /PUBLIC_URL/, PUBLIC_URL)
  }
  for (const PUBLIC_URL of ["https://api.example.com", "https://api.example.com/", "http://localhost:8100"]) {
    assert.deepEqual(providersWith({ PUBLIC_URL }), [])
  }
})

test("a secret is in no message", () => {
  const fail = () =>
    providersWith({ SIGN_IN_PROVIDERS: JSON.stringify([{ ...other, client_secret: "hush", issuer: "x" }]) })
  assert.throws(fail, (error: Error) => {
    assert.match(error.message, /SIGN_IN_PROVIDERS\[0\]\.issuer/)
    assert.doesNotMatch(error.message, /hush/)
    return true
  })
})

test("the variables that GitHub sets in its own workflows are not taken for ours", () => {
  const env = {
    GITHUB_ACTIONS: "true",
    GITHUB_REF: "refs/heads/main",
    GITHUB_ENV: "/tmp/env",
    GITHUB_JOB: "test",
    GITHUB_SHA: "0123",
    GITHUB_PATH: "/tmp/path",
    GITHUB_API_URL: "https://api.github.com",
    GITHUB_SERVER_URL: "https://github.com",
    GITHUB_TOKEN: "t",
    GITHUB_RUN_ID: "1",
    GITHUB_ACTOR_ID: "1",
    GITHUB_ACTION: "a",
  }
  assert.deepEqual(providersWith(env), [])
})
