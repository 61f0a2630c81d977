/** An endpoint: where somebody wants to be told of events, and how that went so far. */
import type { Selectable } from "kysely"
import { badRequest } from "../core/errors.ts"
import { Id, type Row, Timestamp, Type } from "../core/schema.ts"

/** The recommendation of Standard Webhooks: `movie.created`, from the general to the particular. */
const eventTypePattern = "^[A-Za-z0-9_]+(\\.[A-Za-z0-9_]+)*$"

/** What happened, as in `movie.created`. */
export const WebhookEventType = Type.String({ pattern: eventTypePattern, maxLength: 100 })

/**
 * An endpoint, as a route of yours may take and show it. `Input(WebhookEndpoint)` is what its owner sets: `url`, `events` and
 * `description`.
 */
export const WebhookEndpoint = Type.Object({
  id: Type.Readonly(Id),
  created: Type.Readonly(Timestamp),
  url: Type.String({ minLength: 1, maxLength: 2000 }),
  /** Whose it is. */
  owner: Type.Readonly(Type.Optional(Type.String())),
  /** The types of events that it wants; all when there are none. */
  events: Type.Optional(Type.Array(WebhookEventType, { minItems: 1, maxItems: 100 })),
  description: Type.Optional(Type.String({ maxLength: 500 })),
  /** Since when it gets nothing. */
  disabled: Type.Readonly(Type.Optional(Timestamp)),
  /** Why, where it was not switched off by hand. */
  disabled_reason: Type.Readonly(Type.Optional(Type.String())),
  last_attempt: Type.Readonly(Type.Optional(Timestamp)),
  /** What the receiver answered to it, if it did. */
  last_status: Type.Readonly(Type.Optional(Type.Integer())),
  /** Why it failed, if it did. Text of the receiver may be in it. */
  last_trouble: Type.Readonly(Type.Optional(Type.String())),
  /** Attempts that failed since the last success. */
  failures: Type.Readonly(Type.Integer()),
  failing_since: Type.Readonly(Type.Optional(Timestamp)),
})
export type WebhookEndpoint = Selectable<Row<typeof WebhookEndpoint>>

const isEventType = (type: string): boolean => type.length <= 100 && new RegExp(eventTypePattern).test(type)

/** @throws HttpError 400 when one of them can be no type of an event */
export function refuseEventTypes(types: readonly string[]): void {
  const wrong = types.find((type) => !isEventType(type))
  if (wrong === undefined) return
  throw badRequest(
    `The type of an event is words of letters, digits and "_", with dots between them, as in movie.created; ${JSON.stringify(wrong)} is not.`,
  )
}
