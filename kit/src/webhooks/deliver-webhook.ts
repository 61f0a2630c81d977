/** The job that delivers a webhook: one attempt is one delivery. */
import { Id, Type } from "../core/schema.ts"
import { job } from "../jobs/define.ts"

export const deliverWebhook = job(
  "trestle.webhook",
  {
    data: Type.Object({ endpoint: Id, id: Type.String(), type: Type.String(), body: Type.String() }),
    // Some seconds at first, for a restart, then longer: two to three days in all, in which somebody looks after a receiver.
    retries: 15,
    retryDelay: "5 seconds",
    longestRetryDelay: "1 day",
    // Above the longest `webhooks.timeout`, which comes first.
    timeout: "10 minutes",
    // Nearly all of it is waiting.
    concurrency: 50,
  },
  ({ data, webhooks, log, signal }) => webhooks.attempt(data, { log, signal }),
)
