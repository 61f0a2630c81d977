/** The kit's own migrations, oldest first. A released one is never changed; a new table or column is a new file. */
import type { Migration } from "kysely/migration"
import * as apiKeys from "./001-api-keys.ts"
import * as keyValues from "./002-key-values.ts"
import * as loginLimits from "./003-login-limits.ts"
import * as accounts from "./004-accounts.ts"
import * as signIns from "./005-sign-ins.ts"
import * as jobs from "./006-jobs.ts"
import * as idempotency from "./007-idempotency.ts"
import * as webhooks from "./008-webhooks.ts"
import * as accountLinks from "./009-account-links.ts"

export const kitMigrations: Record<string, Migration> = {
  "001-api-keys": apiKeys,
  "002-key-values": keyValues,
  "003-login-limits": loginLimits,
  "004-accounts": accounts,
  "005-sign-ins": signIns,
  "006-jobs": jobs,
  "007-idempotency": idempotency,
  "008-webhooks": webhooks,
  "009-account-links": accountLinks,
}
