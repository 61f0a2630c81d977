/** The endpoints in the database. */
import { sql } from "kysely"
import { badRequest, notFound } from "../core/errors.ts"
import type { Db } from "../db/database.ts"
import { refuseEventTypes, WebhookEndpoint } from "./endpoint.ts"
import { newSecret } from "./signature.ts"
import { readTarget, type TargetRules } from "./target.ts"

export interface NewEndpoint {
  url: string
  /** Whose it is: the id of an account, a team, or whatever the application calls by a text. Default: nobody's. */
  owner?: string | undefined
  /** The types of events that it wants. Default: all. */
  events?: string[] | null | undefined
  description?: string | null | undefined
}

/** What can be changed of an endpoint; what is undefined stays, null is none. */
export type EndpointChange = Partial<Omit<NewEndpoint, "owner">>

const columns = sql.join(Object.keys(WebhookEndpoint.properties).map((name) => sql.ref(name)))

export async function createEndpoint(
  db: Db,
  { url, owner, events, description }: NewEndpoint,
  rules: TargetRules,
): Promise<WebhookEndpoint & { secret: string }> {
  const { href } = readTarget(url, rules)
  refuseEvents(events)
  const secret = newSecret()
  const { rows } = await sql<WebhookEndpoint>`
    with endpoint as (
      insert into trestle.webhook_endpoints (url, owner, events, description)
      values (${href}, ${owner ?? null}, ${events ?? null}, ${description ?? null})
      returning *
    ), signing as (
      insert into trestle.webhook_secrets (endpoint_id, secret) select id, ${secret} from endpoint
    )
    select ${columns} from endpoint`.execute(db)
  return { ...rows[0]!, secret }
}

export async function findEndpoint(db: Db, id: string): Promise<WebhookEndpoint | undefined> {
  const { rows } = await sql<WebhookEndpoint>`
    select ${columns} from trestle.webhook_endpoints where id = ${id}`.execute(db)
  return rows[0]
}

/** @param owner of this owner; of all when undefined */
export async function listEndpoints(db: Db, owner: string | undefined): Promise<WebhookEndpoint[]> {
  const { rows } = await sql<WebhookEndpoint>`
    select ${columns} from trestle.webhook_endpoints
    ${owner === undefined ? sql`` : sql`where owner = ${owner}`}
    order by created, id`.execute(db)
  return rows
}

export async function changeEndpoint(
  db: Db,
  id: string,
  { url, events, description }: EndpointChange,
  rules: TargetRules,
): Promise<WebhookEndpoint> {
  refuseEvents(events)
  const href = url === undefined ? null : readTarget(url, rules).href
  // Another address has failed at nothing yet.
  const { rows } = await sql<WebhookEndpoint>`
    update trestle.webhook_endpoints set
      url = coalesce(${href}, url),
      failures = case when ${href} <> url then 0 else failures end,
      failing_since = case when ${href} <> url then null else failing_since end,
      events = case when ${events !== undefined} then ${events ?? null}::text[] else events end,
      description = case when ${description !== undefined} then ${description ?? null}::text else description end
    where id = ${id}
    returning ${columns}`.execute(db)
  return found(rows[0])
}

export async function disableEndpoint(db: Db, id: string): Promise<WebhookEndpoint> {
  const { rows } = await sql<WebhookEndpoint>`
    update trestle.webhook_endpoints set disabled = coalesce(disabled, now())
    where id = ${id}
    returning ${columns}`.execute(db)
  return found(rows[0])
}

/** Begins anew: what it failed at before no longer counts. */
export async function enableEndpoint(db: Db, id: string): Promise<WebhookEndpoint> {
  const { rows } = await sql<WebhookEndpoint>`
    update trestle.webhook_endpoints
    set disabled = null, disabled_reason = null, failures = 0, failing_since = null
    where id = ${id}
    returning ${columns}`.execute(db)
  return found(rows[0])
}

/** Deletes an endpoint with its secrets. Nothing that waits is delivered to it any more. */
export async function deleteEndpoint(db: Db, id: string): Promise<boolean> {
  const { rows } = await sql`delete from trestle.webhook_endpoints where id = ${id} returning id`.execute(db)
  return rows.length > 0
}

function refuseEvents(events: string[] | null | undefined): void {
  if (!events) return
  if (events.length === 0)
    throw badRequest("An endpoint wants some types of events, or all of them: then leave them out.")
  refuseEventTypes(events)
}

export function found<T>(endpoint: T | undefined): T {
  if (!endpoint) throw notFound("webhook endpoint")
  return endpoint
}
