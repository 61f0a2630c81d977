/** One attempt at one event for one endpoint, as the job makes it: who is called now, and what is remembered of it. */
import { sql } from "kysely"
import type { Log } from "../core/log.ts"
import type { Db } from "../db/database.ts"
import { Postponed } from "../jobs/attempt.ts"
import { type DeliveryRules, deliver, type Outcome } from "./deliver.ts"
import type { WebhookEndpoint } from "./endpoint.ts"
import { findEndpoint } from "./endpoints.ts"
import { secretsOf } from "./secrets.ts"

/** What waits to be delivered. The secrets are looked up at each attempt: they lie in no job, and are those that count then. */
export interface Waiting {
  endpoint: string
  /** The `webhook-id`. */
  id: string
  type: string
  /** JSON as text, so that no attempt, and no database, changes a byte of it. */
  body: string
}

/**
 * Delivers to an endpoint, if it is still there and switched on.
 * @throws Error that says why the receiver did not take it, so that it is tried again
 */
export type Attempt = (waiting: Waiting, run: { log: Log; signal: AbortSignal }) => Promise<void>

/** Of one owner so many at once, in each process: receivers that keep connections open would otherwise take all places. */
const atOnce = 10

/** The others come back after this time, in milliseconds, one after the other: a crowd of them must not be a load of its own. */
const backAfterMs = 1000
const backEveryMs = 20

/** The deliveries to the endpoints of one owner. */
interface Places {
  taken: number
  /** When the last one that found no place comes back, as `performance.now()` counts. */
  back: number
}

export function createAttempt(db: Db, rules: DeliveryRules): Attempt {
  const owners = new Map<string, Places>()

  return async ({ endpoint: endpointId, id, type, body }, { log, signal }) => {
    const endpoint = await findEndpoint(db, endpointId)
    if (!endpoint || endpoint.disabled) {
      log.info(`The webhook endpoint ${endpointId} is ${endpoint ? "disabled" : "deleted"}: nothing is sent.`)
      return
    }
    using _place = takePlace(owners, endpoint.owner ?? endpointId)
    const { url } = endpoint
    const secrets = await secretsOf(db, endpointId)
    const outcome = await deliver({ url, secrets, id, body }, rules, signal)
    const isStillThere = await remember(db, { id: endpointId, url }, outcome)
    if (outcome.status === gone && isStillThere) {
      log.warn(`The webhook endpoint ${endpointId} answered 410 Gone. It is disabled, and gets nothing more.`)
      return
    }
    if (outcome.trouble) throw new Error(`The webhook endpoint ${endpointId} did not take ${type}. ${outcome.trouble}`)
  }
}

/** @throws Postponed when there is none */
function takePlace(owners: Map<string, Places>, owner: string): Disposable {
  const places = owners.get(owner) ?? { taken: 0, back: 0 }
  owners.set(owner, places)
  if (places.taken >= atOnce) {
    const now = performance.now()
    places.back = Math.max(now + backAfterMs, places.back + backEveryMs)
    throw new Postponed(`${atOnce} deliveries to ${owner} run.`, places.back - now)
  }
  places.taken++
  return {
    [Symbol.dispose]() {
      places.taken--
      if (places.taken === 0 && places.back < performance.now()) owners.delete(owner)
    },
  }
}

/** Of a receiver that wants nothing more (Standard Webhooks, "Delivery success and failure"). */
const gone = 410

/** False when the endpoint has another address meanwhile, or is deleted: how the former one did says nothing of it. */
async function remember(
  db: Db,
  { id, url }: Pick<WebhookEndpoint, "id" | "url">,
  { status, trouble }: Outcome,
): Promise<boolean> {
  const { rows } = await sql`
    update trestle.webhook_endpoints set
      last_attempt = now(),
      last_status = ${status},
      last_trouble = ${trouble},
      failures = case when ${trouble}::text is null then 0 else failures + 1 end,
      failing_since = case when ${trouble}::text is null then null else coalesce(failing_since, now()) end,
      disabled = case when ${status === gone} then coalesce(disabled, now()) else disabled end,
      disabled_reason = case when ${status === gone} and disabled is null then 'It answered 410 Gone.' else disabled_reason end
    where id = ${id} and url = ${url}
    returning id`.execute(db)
  return rows.length > 0
}
