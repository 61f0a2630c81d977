/** Who may call, put together: accounts, sessions and API keys, and the channel that tells of their changes. */
import { availableParallelism } from "node:os"
import type { Redis } from "ioredis"
import type { App } from "../app.ts"
import type { Config } from "../core/config/index.ts"
import type { Log } from "../core/log.ts"
import { Changes } from "../db/changes.ts"
import type { Database } from "../db/database.ts"
import type { Jobs } from "../jobs/job.ts"
import type { Mail } from "../mail/mail.ts"
import { sweepLinks } from "./account-links.ts"
import { accountOf } from "./accounts.ts"
import { ApiKeys } from "./api-keys.ts"
import { Browsers } from "./browsers.ts"
import { createIdentify, type Identify } from "./identify.ts"
import type { Accounts } from "./log-in.ts"
import { createLoginLimits } from "./login-limits.ts"
import { createMailLimits } from "./mail-limits.ts"
import { createPasswords } from "./passwords.ts"
import { postgresSessions } from "./postgres-sessions.ts"
import { redisSessions } from "./redis-sessions.ts"
import { foreignRequests } from "./same-origin.ts"
import { UserSessions } from "./user-sessions.ts"

/** How often what has expired is removed. It counts for nothing before. */
const sweepEveryMs = 10 * 60 * 1000

export interface AuthOptions {
  app: Pick<App, "onSignup">
  config: Config
  database: Database
  /** Where sessions are kept, instead of in the database. */
  redis?: { client: Redis; prefix: string } | undefined
  jobs: Jobs
  mail: Mail
  log: Log
}

export interface Auth {
  identify: Identify
  accounts: Accounts
  close(): Promise<void>
}

export function openAuth({ app, config, database, redis, jobs, mail, log }: AuthOptions): Auth {
  const { db } = database
  const changes: Changes = new Changes(database, log.for("changes"), {
    changed: (what) => {
      keys.known.changed(what)
      sessions.known.changed(what)
    },
    reset: () => {
      keys.known.reset()
      sessions.known.reset()
    },
  })
  const isCurrent = () => changes.isCurrent()

  const { enabled, environment_hash: environmentHash, environment_role: environmentRole } = config.api_keys
  const keys = new ApiKeys(db, { environmentHash, environmentRole }, isCurrent)
  const store = redis ? redisSessions(redis.client, redis.prefix) : postgresSessions(db)
  const sessions = new UserSessions(db, store, config.session, isCurrent)
  const cores = availableParallelism()
  const accounts: Accounts = {
    db,
    settings: config.accounts,
    // A core for each, over all processes.
    passwords: createPasswords({ parallel: Math.ceil(cores / (config.workers.web ?? cores)) }),
    limits: createLoginLimits(db),
    browsers: new Browsers(db, config.session),
    sessions,
    jobs,
    mail,
    mailLimits: createMailLimits(db),
    greet: async (account, tx) => void (await app.onSignup?.({ user: accountOf(account), tx, jobs, mail, config })),
  }
  const identify = createIdentify({
    identifyKey: enabled ? keys.identify : undefined,
    sessions,
    isForeign: foreignRequests(config.cors),
  })

  const sweep = async () => {
    await sessions.sweep()
    await accounts.limits.sweep()
    await accounts.browsers.sweep()
    await sweepLinks(db)
  }
  const timer = setInterval(
    () =>
      void sweep().catch((error: Error) => log.for("auth").warn(`Expired sessions were not removed: ${error.message}`)),
    sweepEveryMs,
  ).unref()

  return {
    identify,
    accounts,
    async close() {
      clearInterval(timer)
      accounts.passwords.close()
      await changes.close()
    },
  }
}
