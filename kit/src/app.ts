/**
 * What an application is: the value that `app/app.ts` exports, and the types that its routes are written with. What the kit
 * adds to Fastify's types for applications stands here, since it reaches them through `index.ts` only.
 */
import type { IncomingMessage, ServerResponse } from "node:http"
import type { FastifyBaseLogger, FastifyInstance, FastifyTypeProvider, RawServerDefault } from "fastify"
import type { Transaction } from "kysely"
import type { Static, TSchema } from "typebox"
import type { Config } from "./core/config/index.ts"
import type { AppConfig, Tables } from "./core/declared.ts"
import { BootError } from "./core/errors.ts"
import type { Mode } from "./core/mode.ts"
import type { Role, User } from "./core/roles.ts"
import type { Reply } from "./core/schema.ts"
import type { RequestSession } from "./core/session.ts"
import type { Db } from "./db/database.ts"
import type { AnyJob, Jobs } from "./jobs/job.ts"
import type { Mail } from "./mail/mail.ts"
import type { AnyMailTemplate } from "./mail/template.ts"
import type { Kv } from "./store/kv.ts"
import type { Webhooks } from "./webhooks/webhooks.ts"

declare module "fastify" {
  interface FastifyInstance {
    /** The database: Kysely with the tables of the application. */
    db: Db
    /** The key-value store: counters, small values that expire, lists; shared by all processes. */
    kv: Kv
    /** Background jobs: sends them, and says how they are. */
    jobs: Jobs
    /** Mail: `mail.send({ to, template, data })`, by a job. */
    mail: Mail
    /** Outgoing webhooks: endpoints, and events that are sent to them. */
    webhooks: Webhooks
    /** The settings, the application's own sections among them. */
    config: Config
    /** What exists for development only asks it, and is there under `"development"` and `"test"`. */
    mode: Mode
  }
  interface FastifyRequest {
    /** Who calls. Throws 401 for a visitor, so behind any role but `"visitor"` it is always there. */
    user: User
    /** Who calls, or null for a visitor. */
    caller: User | null
    /** What the application keeps with a person's session. Throws 401 for a visitor, 400 for an API key. */
    session: RequestSession
    /**
     * The transaction of a route with `idempotent: true`: committed before the answer is sent, rolled back when that is an error.
     * Throws elsewhere.
     */
    tx: Transaction<Tables>
  }
  interface RouteShorthandOptions {
    /** The lowest role that may call. `"visitor"` is everyone. Every route names one, or the boot stops. */
    role?: Role
    /** How long ago a person's login may be, as in `"10 minutes"`: beyond it 401, for an API key 403. */
    fresh?: string
    /** The longest that the route may take, as in `"2 minutes"`; `workers.request_timeout` otherwise. */
    timeout?: string
    /** A limit of its own, as in `"5/minute"`, which counts apart from `rate_limit.limit`; false is none. */
    rateLimit?: string | false
    /** Answers a GET with an ETag, and with 304 when the client has that already. Saves the network, not the work. */
    etag?: boolean
    /**
     * Does what was asked once, however often it is asked with the same Idempotency-Key. Its handler does all that it does in the
     * database with `request.tx`.
     */
    idempotent?: boolean
  }
  interface FastifySchema {
    /** What the route does, in a line; without it the doc comment above the route says so. */
    summary?: string
    description?: string
    /** Leaves the route out of the documentation. */
    hide?: boolean
  }
}

/** Lets the types of a request and its replies follow from the schemas of its route. */
interface SchemaTypes extends FastifyTypeProvider {
  validator: this["schema"] extends TSchema ? Static<this["schema"]> : unknown
  serializer: this["schema"] extends TSchema ? Reply<Static<this["schema"]>> : unknown
}

/** What routes are registered on: Fastify, with `db`, `kv` and `config`, and types that follow from the schemas. */
export type Api = FastifyInstance<RawServerDefault, IncomingMessage, ServerResponse, FastifyBaseLogger, SchemaTypes>

/** Registers routes: an ordinary Fastify plugin. */
export type Routes = (api: Api) => void | Promise<void>

/** An application. Only `folder` and `routes` are needed. */
export interface App {
  /** Lower-case letters, digits and hyphens; names the data of the embedded database. Default "app". */
  name?: string
  /** The folder of this file, `import.meta.dirname`: its `migrations/` are found there. */
  folder: string
  /** Routes by their path below `/api`: `{ movies }` is at `/api/movies`. A key that begins with `/` is the whole path. */
  routes: Record<string, Routes>
  /** The application's own sections of the configuration, each a TypeBox object. */
  config?: { [K in keyof AppConfig]: TSchema } & Record<string, TSchema>
  /** Its background jobs and crons. */
  jobs?: readonly AnyJob[]
  /** What its mails say. One with the name of a mail of the kit's takes its place. */
  mails?: readonly AnyMailTemplate[]
  /**
   * Does what a new account brings with it, when somebody signs up by themselves, in the transaction that makes the account: what
   * it sends with `tx` is committed with the account, and an error leaves neither.
   * @example onSignup: ({ user: { email }, mail, tx }) => mail.send({ to: email, template: welcome, data: { email }, tx })
   */
  onSignup?(signup: Signup): unknown
  /** Processes of its own that run as long as the server does, by name; one that ends is started again. */
  programs?: Record<string, Program>
}

/** A new account, and what to greet its owner with. */
export interface Signup {
  user: {
    id: string
    email: string
    first_name: string
    last_name: string
    fullname: string
    company?: string
  }
  /** The transaction that makes the account. */
  tx: Db
  jobs: Jobs
  mail: Mail
  config: Config
}

/** A command, run in the project's folder with the server's environment. It is stopped by SIGTERM. */
export interface Program {
  /** `"node"` is the Node that the server runs on. */
  command: string
  args: string[]
}

/**
 * Makes an application of its parts, and says at once what is wrong with them.
 * @throws BootError
 * @example export default defineApp({ name: "movies", routes: { movies }, folder: import.meta.dirname })
 */
export function defineApp(app: App): App {
  if (app.name !== undefined && !/^[a-z][a-z0-9-]{0,49}$/.test(app.name)) {
    throw new BootError(
      `The name of an app is lower-case letters, digits and hyphens, 50 at most; "${app.name}" is not.`,
    )
  }
  if (typeof app.folder !== "string") throw new BootError("defineApp needs folder: import.meta.dirname.")
  if (typeof app.routes !== "object" || app.routes === null) {
    throw new BootError("defineApp needs routes: { movies }, or routes: {} as long as there are none.")
  }
  for (const [name, program] of Object.entries(app.programs ?? {})) {
    if (typeof program?.command !== "string" || !Array.isArray(program.args)) {
      throw new BootError(`The program "${name}" is { command: "node", args: ["app/program.ts"] } or its like.`)
    }
  }
  const names = new Set<string>()
  for (const { name } of app.jobs ?? []) {
    if (name.startsWith("trestle."))
      throw new BootError(`The job "${name}" has a name of the kit's: take one without a dot.`)
    if (names.has(name)) throw new BootError(`Two jobs are called "${name}". Rename one.`)
    names.add(name)
  }
  for (const [key, routes] of Object.entries(app.routes)) {
    if (typeof routes !== "function") {
      throw new BootError(`The routes of "${key}" are a function that takes the api, not ${JSON.stringify(routes)}.`)
    }
    if (!/^\/?[A-Za-z0-9_~.-]+(\/[A-Za-z0-9_~.-]+)*$/.test(key) && key !== "/") {
      throw new BootError(
        `"${key}" cannot be a path of routes. Take a name such as movies, or a whole path such as /pages.`,
      )
    }
  }
  return app
}

/** The path that routes of a key stand at. */
export const pathOf = (key: string): string => (key === "/" ? "" : key.startsWith("/") ? key : `/api/${key}`)
