/** The kit's own migrations, oldest first. A released one is never changed; a new table or column is a new file. */
import type { Migration } from "kysely/migration"
import * as apiKeys from "./001-api-keys.ts"

export const kitMigrations: Record<string, Migration> = {
  "001-api-keys": apiKeys,
}
