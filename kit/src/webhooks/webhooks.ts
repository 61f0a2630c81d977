/** Outgoing webhooks, as handlers see them: endpoints, and events that are sent to them. */
import { randomBytes } from "node:crypto"
import { sql } from "kysely"
import { parseDuration } from "../core/duration.ts"
import { badRequest } from "../core/errors.ts"
import type { Db } from "../db/database.ts"
import type { Jobs } from "../jobs/job.ts"
import { type Attempt, createAttempt, type Waiting } from "./attempt.ts"
import type { DeliveryRules } from "./deliver.ts"
import { deliverWebhook } from "./deliver-webhook.ts"
import { refuseEventTypes, type WebhookEndpoint } from "./endpoint.ts"
import {
  changeEndpoint,
  createEndpoint,
  deleteEndpoint,
  disableEndpoint,
  type EndpointChange,
  enableEndpoint,
  findEndpoint,
  found,
  listEndpoints,
  type NewEndpoint,
} from "./endpoints.ts"
import { rotateSecret } from "./secrets.ts"
import type { WebhookPayload } from "./signature.ts"

declare module "../jobs/job.ts" {
  interface JobContext {
    webhooks: OpenWebhooks
  }
}

/** Something that happened. */
export interface WebhookEvent {
  /** What: words of letters, digits and `_`, from the general to the particular, as in `movie.created`. */
  type: string
  /** What JSON can hold; small, since the receiver has to take it. */
  data: unknown
  /** When. Default: now. */
  timestamp?: string | Date
}

/** What became of an event. */
export interface SentEvent {
  /** Its `webhook-id`, by which receivers know it. */
  id: string
  /** How many endpoints it goes to. */
  endpoints: number
}

export interface InTransaction {
  /** A transaction: what is done is committed with it, or not at all. */
  tx?: Db
}

export interface PublishOptions extends InTransaction {
  /** Whose endpoints are told. Default: those that belong to nobody, so that nobody learns of what is another's. */
  owner?: string
  /** Tells the endpoints of all owners: for what everyone may know. */
  everyone?: boolean
}

export interface Webhooks {
  /**
   * Makes an endpoint. Its secret is in what this returns, for its owner to check signatures with, and nothing shows it again.
   * @throws HttpError 400 when the address or a type of event cannot be
   */
  createEndpoint(endpoint: NewEndpoint, options?: InTransaction): Promise<WebhookEndpoint & { secret: string }>
  find(id: string): Promise<WebhookEndpoint | undefined>
  /** The endpoints of an owner, or all, oldest first. */
  list(whose?: { owner: string }): Promise<WebhookEndpoint[]>
  /** @throws HttpError 404, and 400 as {@link Webhooks.createEndpoint} */
  change(id: string, change: EndpointChange): Promise<WebhookEndpoint>
  /**
   * Gives an endpoint a new secret and returns it. The former goes on signing beside it for `keepFor`, so that the receiver can
   * change over meanwhile: "24 hours" by default, "0 s" for one that has become known.
   * @throws HttpError 404
   */
  rotate(id: string, options?: { keepFor?: string }): Promise<{ secret: string }>
  /** Sends it nothing more, what is waiting neither. @throws HttpError 404 */
  disable(id: string): Promise<WebhookEndpoint>
  /** @throws HttpError 404 */
  enable(id: string): Promise<WebhookEndpoint>
  /** Deletes it with its secrets. False when there was none. */
  delete(id: string, options?: InTransaction): Promise<boolean>
  /**
   * Sends an event to one endpoint, whatever types it wants; to none when it is disabled.
   * @throws HttpError 404
   */
  send(endpointId: string, event: WebhookEvent, options?: InTransaction): Promise<SentEvent>
  /** Sends an event to each endpoint that wants its type. */
  publish(event: WebhookEvent, options?: PublishOptions): Promise<SentEvent>
}

/** Webhooks, with what only the job of the kit calls. */
export interface OpenWebhooks extends Webhooks {
  /** Makes one attempt to deliver. */
  attempt: Attempt
}

export interface WebhooksOptions {
  db: Db
  jobs: Jobs
  rules: DeliveryRules
}

export function openWebhooks({ db, jobs, rules }: WebhooksOptions): OpenWebhooks {
  async function deliver(message: Message, endpoints: string[], tx: Db | undefined): Promise<SentEvent> {
    for (const endpoint of endpoints) {
      await jobs.send(deliverWebhook, { endpoint, ...message }, tx && { tx })
    }
    return { id: message.id, endpoints: endpoints.length }
  }

  return {
    attempt: createAttempt(db, rules),
    createEndpoint: (endpoint, { tx = db } = {}) => createEndpoint(tx, endpoint, rules),
    find: (id) => findEndpoint(db, id),
    async list(whose) {
      // A caller without an id would be shown what is everybody's.
      if (whose && whose.owner === undefined) throw new TypeError("list takes an owner; without one it is list().")
      return listEndpoints(db, whose?.owner)
    },
    change: (id, change) => changeEndpoint(db, id, change, rules),
    rotate: async (id, { keepFor = "24 hours" } = {}) => ({
      secret: await rotateSecret(db, id, parseDuration(keepFor)),
    }),
    disable: (id) => disableEndpoint(db, id),
    enable: (id) => enableEndpoint(db, id),
    delete: (id, { tx = db } = {}) => deleteEndpoint(tx, id),
    async send(endpointId, event, { tx } = {}) {
      const message = messageOf(event)
      const { disabled } = found(await findEndpoint(tx ?? db, endpointId))
      return deliver(message, disabled ? [] : [endpointId], tx)
    },
    async publish(event, { owner, everyone = false, tx } = {}) {
      const message = messageOf(event)
      const whose = everyone ? sql`true` : owner === undefined ? sql`owner is null` : sql`owner = ${owner}`
      const { rows } = await sql<{ id: string }>`
        select id from trestle.webhook_endpoints
        where ${whose} and disabled is null and (events is null or ${event.type} = any(events))
        order by created, id`.execute(tx ?? db)
      const ids = rows.map(({ id }) => id)
      if (tx || ids.length < 2) return deliver(message, ids, tx)
      // All are told, or none: whoever tries again would tell some of them twice.
      return db.transaction().execute((tx) => deliver(message, ids, tx))
    },
  }
}

type Message = Omit<Waiting, "endpoint">

/** The largest body, in bytes. Standard Webhooks recommends 20 kB: what is large is fetched by whoever wants it. */
const bodyAtMost = 256_000

function messageOf({ type, data, timestamp = new Date() }: WebhookEvent): Message {
  refuseEventTypes([type])
  const at = typeof timestamp === "string" ? timestamp : timestamp.toISOString()
  const body = JSON.stringify({ type, timestamp: at, data: data ?? null } satisfies WebhookPayload)
  if (Buffer.byteLength(body) > bodyAtMost) {
    throw badRequest(`An event has at most ${bodyAtMost / 1000} kB, as JSON. Send an id, by which the rest is found.`)
  }
  return { id: `msg_${randomBytes(18).toString("base64url")}`, type, body }
}
