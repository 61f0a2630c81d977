// @together
import assert from "node:assert/strict"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { configurationPage, effectiveSettings, loadConfig } from "../src/core/config/index.ts"

const root = join(import.meta.dirname, "../..")

test("docs/configuration.md is what the schema generates (npm run check -- --fix writes it)", () => {
  assert.equal(readFileSync(join(root, "docs/configuration.md"), "utf8"), configurationPage())
})

test("every setting of the kit is described", () => {
  const rows = configurationPage()
    .split("\n")
    .filter((line) => /^\| `\w+\.\w+/.test(line))
  assert.equal(rows.length, effectiveSettings({ folder: tmpdir(), env: {} }).length)
  for (const row of rows) assert.match(row, /\| [A-Z].{20,}\. (?:\*Secret\.\* )?\|$/, row)
})

test("config.json of the repository loads", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "trestle-config-"))
  t.after(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, "config.json"), readFileSync(join(root, "config.json")))
  assert.equal(loadConfig({ folder, env: {} }).server.port, 8100)
})

test("every line of .env.example works as soon as its # is taken away, except the hash that is to be filled in", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "trestle-config-"))
  t.after(() => rmSync(folder, { recursive: true }))
  const lines = readFileSync(join(root, ".env.example"), "utf8").replaceAll(/^# (?=[A-Z_]+=)/gm, "")
  writeFileSync(join(folder, ".env"), lines)
  assert.throws(() => loadConfig({ folder, env: {} }), /has a mistake:\n {2}- \.env line \d+: API_TOKEN_HASH/)

  writeFileSync(join(folder, ".env"), lines.replace(/^(API_TOKEN_HASH=).*$/m, `$1${"a".repeat(64)}`))
  const set = effectiveSettings({ folder, env: {} }).filter(({ from }) => from !== "default")
  const mail = ["SMTP_URL", "MAIL_FROM"]
  const signIn = ["OIDC_ISSUER", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET", "GITHUB_CLIENT_ID", "GITHUB_CLIENT_SECRET"]
  assert.deepEqual(
    set.map(({ env }) => env),
    ["HOST", "PORT", "PUBLIC_URL", "DATABASE_URL", "REDIS_URL", ...signIn, ...mail, "API_TOKEN_HASH", "LOG_SQL"],
  )
})
