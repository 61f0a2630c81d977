/**
 * The tables of pg-boss (https://pgboss.io), which keeps the jobs, in a schema of their own. It has its own versions of them; they
 * come with our migrations, so that there is one command and one list of what a database has had.
 */
import { createRequire } from "node:module"
import { type Kysely, sql } from "kysely"

export const jobSchema = "trestle_jobs"

/** The version that this pg-boss works with. It has no other export that tells it. */
export const jobTablesVersion: number = createRequire(import.meta.url)("pg-boss/package.json").pgboss.schema

/**
 * Makes the tables, or brings them to the version of the pg-boss that is installed. A migration calls it, and another one for
 * each later version: on a new database the first makes the newest tables, and the later ones find nothing to do.
 */
export async function bringJobTables(db: Kysely<unknown>): Promise<void> {
  const { getConstructionPlans, getMigrationPlans } = await import("pg-boss")
  const { rows: found } = await sql<{ made: boolean }>`
    select to_regclass(${`${jobSchema}.version`}) is not null as made`.execute(db)
  if (!found[0]?.made) return run(db, getConstructionPlans(jobSchema))
  const { rows } = await sql<{ version: number }>`select version from ${sql.table(`${jobSchema}.version`)}`.execute(db)
  const version = Number(rows[0]?.version)
  if (version < jobTablesVersion) await run(db, getMigrationPlans(jobSchema, version))
}

export const dropJobTables = async (db: Kysely<unknown>): Promise<void> =>
  void (await sql`drop schema ${sql.ref(jobSchema)} cascade`.execute(db))

/** Runs a plan in the transaction of the migration: its own would end that. */
async function run(db: Kysely<unknown>, plan: string): Promise<void> {
  const statements = plan.replaceAll(/^\s*(BEGIN|COMMIT);\s*$/gm, "")
  await sql.raw(statements).execute(db)
}
