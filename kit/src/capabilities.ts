/** What handlers of routes and of jobs are given besides the database, opened for one process. */
import type { App } from "./app.ts"
import { sendLink } from "./auth/link-job.ts"
import { accountMails } from "./auth/link-mails.ts"
import type { Config } from "./core/config/index.ts"
import type { Log } from "./core/log.ts"
import type { Mode } from "./core/mode.ts"
import type { Database } from "./db/database.ts"
import type { OpenRedis } from "./db/redis.ts"
import type { AnyJob, JobContext } from "./jobs/job.ts"
import { type OpenJobs, openJobs } from "./jobs/jobs.ts"
import { createMail, type Mail } from "./mail/mail.ts"
import { sendMail } from "./mail/mail-job.ts"
import { templatesOf } from "./mail/templates.ts"
import type { Transport } from "./mail/transport.ts"
import { openStore, type Store } from "./store/store.ts"
import { deliveryRules } from "./webhooks/deliver.ts"
import { deliverWebhook } from "./webhooks/deliver-webhook.ts"
import { openWebhooks, type Webhooks } from "./webhooks/webhooks.ts"

export interface Capabilities {
  kv: Store
  jobs: OpenJobs
  mail: Mail
  webhooks: Webhooks
  /** The same as handlers of jobs get it. */
  context: JobContext
  /** Ends what they do by themselves; database and Redis stay open. */
  close(): Promise<void>
}

/** Every job that there may be: the kit's and the application's. */
export const jobsOf = (app: App): AnyJob[] => [sendMail, sendLink, deliverWebhook, ...(app.jobs ?? [])]

const nowhere: Transport = {
  async send() {
    throw new Error("There is no way for mails here.")
  },
}

export function openCapabilities({
  app,
  config,
  mode,
  database,
  redis,
  transport = nowhere,
  log,
}: {
  app: App
  config: Config
  mode: Mode
  database: Database
  redis?: OpenRedis | undefined
  /** The way that mails go. Without one none can be sent, where only routes are looked at. */
  transport?: Transport
  log: Log
}): Capabilities {
  const kv = openStore({ database, redis, log })
  const jobs = openJobs(database, jobsOf(app), log)
  const templates = templatesOf(Object.values(accountMails), app.mails)
  const mail = createMail({ config, app: app.name, templates, transport, jobs })
  const webhooks = openWebhooks({ db: database.db, jobs, rules: deliveryRules(config, mode) })
  return {
    kv,
    jobs,
    mail,
    webhooks,
    context: { db: database.db, kv, jobs, mail, webhooks, config },
    async close() {
      kv.close()
      await jobs.close()
    },
  }
}
