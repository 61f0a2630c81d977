/**
 * The secrets of endpoints. They lie in the database in clear, since each signature is made with them: whoever reads the table can
 * sign as this server, and do nothing else.
 */
import { sql } from "kysely"
import type { Db } from "../db/database.ts"
import { found } from "./endpoints.ts"
import { newSecret } from "./signature.ts"

/** More at once would be headers that receivers refuse; the oldest go. */
const secretsAtMost = 5

/** Gives an endpoint a new secret and returns it. The former ones go on signing beside it for a time, in milliseconds. */
export async function rotateSecret(db: Db, endpointId: string, keepForMs: number): Promise<string> {
  const secret = newSecret()
  await db.transaction().execute(async (tx) => {
    // Of two at once the later one must find the secret of the earlier.
    const { rows } = await sql`
      select from trestle.webhook_endpoints where id = ${endpointId} for update`.execute(tx)
    found(rows[0])
    await sql`
      update trestle.webhook_secrets
      set expires = least(expires, now() + ${keepForMs} * interval '1 ms')
      where endpoint_id = ${endpointId}`.execute(tx)
    await sql`insert into trestle.webhook_secrets (endpoint_id, secret) values (${endpointId}, ${secret})`.execute(tx)
    await sql`
      delete from trestle.webhook_secrets where endpoint_id = ${endpointId} and (
        expires <= now() or id not in (
          select id from trestle.webhook_secrets where endpoint_id = ${endpointId}
          order by expires desc nulls first, created desc limit ${secretsAtMost}
        )
      )`.execute(tx)
  })
  return secret
}

/** Those that sign now, the one in force first. */
export async function secretsOf(db: Db, endpointId: string): Promise<string[]> {
  const { rows } = await sql<{ secret: string }>`
    select secret from trestle.webhook_secrets
    where endpoint_id = ${endpointId} and (expires is null or expires > now())
    order by expires desc nulls first, created desc`.execute(db)
  return rows.map(({ secret }) => secret)
}
