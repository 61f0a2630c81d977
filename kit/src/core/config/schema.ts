/**
 * Every setting of the kit: its type, default, environment variable and meaning. The `Config` type, the validation and
 * `docs/configuration.md` come from here; nothing is written twice. To add a setting, add it here.
 */
import { type StaticDecode, type TSchema, Type } from "typebox"
import type { AppConfig } from "../declared.ts"
import { grantableRoles } from "../roles.ts"
import { accounts, session } from "./account-sections.ts"
import { cors, docs, json_response, logging, rate_limit, security, server, static_files, tls } from "./http-sections.ts"
import { Duration, Size, Url } from "./kinds.ts"
import { mail } from "./mail-section.ts"
import { sign_in } from "./sign-in-section.ts"
import { webhooks } from "./webhooks-section.ts"

const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

const database = Type.Object(
  {
    url: Type.Optional(
      Url(["postgres", "postgresql"], {
        description: "Which PostgreSQL (15 to 18) to use. Without it the embedded PostgreSQL 18 in `data/postgres`.",
      }),
    ),
    pool_size: Type.Integer({
      default: 10,
      minimum: 1,
      maximum: 1000,
      description:
        "Connections of each process, at most. Processes × connections must stay below the server's `max_connections` (100 by default).",
    }),
    connect_timeout: Duration({
      default: "5 seconds",
      description:
        "How long a request waits for a connection. Short: a client is better served by a 503 than by waiting.",
    }),
    statement_timeout: Duration({
      default: "30 seconds",
      description: "PostgreSQL ends a statement that takes longer. Above `workers.request_timeout`, which comes first.",
    }),
    idle_in_transaction_timeout: Duration({
      default: "60 seconds",
      description: "PostgreSQL ends a transaction that is left open: it would hold its locks and stop the vacuum.",
    }),
    prepared_statements: Type.Boolean({
      default: true,
      description: "Name statements, so that PostgreSQL parses each once. Off only behind a PgBouncer before 1.21.",
    }),
  },
  { description: "PostgreSQL." },
)

const redis = Type.Object(
  {
    url: Type.Optional(
      Url(["redis", "rediss"], {
        description:
          "Which Redis (6.2 or newer) or Valkey keeps key-values and sessions, past one machine. Without it PostgreSQL does.",
      }),
    ),
    prefix: Type.Optional(
      Type.String({
        pattern: "^[!-~]{1,100}$",
        expected: "1 to 100 printable ASCII characters, no spaces",
        description:
          "What every key begins with, so that applications can share a Redis. Without it the name of the app, as in `movies:`.",
      }),
    ),
  },
  { description: "Redis or Valkey." },
)

function lowerHash(hash: string): string {
  const lower = hash.toLowerCase()
  // What a script makes of a key that it failed to get: anyone could log in with nothing.
  if (lower === emptyHash) throw new TypeError("the hash of a key that is not empty")
  return lower
}

const api_keys = Type.Object(
  {
    enabled: Type.Boolean({
      default: true,
      description: "Accept API keys in `X-API-Key`. When off, `GET /api/login` is 405.",
    }),
    environment_hash: Type.Optional(
      Type.Decode(
        Type.String({
          env: "API_TOKEN_HASH",
          secret: true,
          pattern: "^[0-9a-fA-F]{64}$",
          expected: "64 hexadecimal digits, the SHA-256 of a key that is not empty",
          description: "An API key that needs no database: the SHA-256 of the key, in hexadecimal.",
        }),
        lowerHash,
      ),
    ),
    environment_role: Type.Enum(grantableRoles, {
      default: "admin",
      description: "What the key of `API_TOKEN_HASH` may do.",
    }),
  },
  { description: "API keys, the accounts of machines." },
)

const rolesSection = Type.Object(
  {
    denied_status: Type.Enum([403, 401], {
      default: 403,
      description: "The status when a caller's role is too low. 401 is what clients of RESTPie3 expect.",
    }),
  },
  { description: "Roles." },
)

const workers = Type.Object(
  {
    web: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 256,
        description: "How many processes answer requests. Without it one for each core.",
      }),
    ),
    jobs: Type.Integer({
      default: 1,
      minimum: 0,
      maximum: 256,
      description:
        "How many processes run background jobs; 0 where another machine does, with `trestle worker`. One runs many at once.",
    }),
    request_timeout: Duration({
      default: "20 seconds",
      description: "After this a request is answered 503 and its query is cancelled: the client has given up by then.",
    }),
    boot_timeout: Duration({
      default: "60 seconds",
      minimum: "1 second",
      description:
        "A process that does not answer so long after it was started is killed: it waits for something that does not come. Migrations do not count.",
    }),
    block_timeout: Duration({
      default: "5 seconds",
      minimum: "1 second",
      description:
        "A process whose event loop stands still for so long is killed and replaced; the log says at which line it stood.",
    }),
    stop_delay: Duration({
      minimum: "0 seconds",
      maximum: "10 minutes",
      default: "0 seconds",
      description:
        "So long after a stop was asked requests are still taken, while `/api/health/ready` says 503: a load balancer needs its time to notice. Not for a reload, which nobody should notice.",
    }),
    stop_timeout: Duration({
      default: "30 seconds",
      description: "Requests that are still in flight so long after a stop, or a reload, are cut; jobs are given back.",
    }),
    max_requests: Type.Integer({
      default: 0,
      minimum: 0,
      description: "A process is replaced after so many requests or jobs, give or take a tenth; 0 is never.",
    }),
    max_age: Type.Optional(
      Duration({
        minimum: "1 second",
        description: "A process is replaced when it is so old, give or take a tenth. Without it never.",
      }),
    ),
    soft_memory: Type.Optional(
      Size({ description: "A process that uses more is replaced, and no request is lost. Without it no limit." }),
    ),
    hard_memory: Type.Optional(
      Size({ description: "A process that uses more is killed and replaced at once. Without it no limit." }),
    ),
    user: Type.Optional(
      Type.String({
        pattern: "^[a-z_][a-z0-9_-]*$",
        description: "Started as root, to listen below port 1024, the processes that answer requests run as this user.",
      }),
    ),
  },
  { description: "The processes that answer requests and run background jobs." },
)

/** The kit's own sections. An application adds its own beside them. */
export const KitSchema = Type.Object({
  server,
  database,
  redis,
  accounts,
  session,
  sign_in,
  mail,
  api_keys,
  roles: rolesSection,
  workers,
  security,
  cors,
  rate_limit,
  static_files,
  tls,
  docs,
  json_response,
  logging,
  webhooks,
})

type Frozen<T> = T extends (...args: never[]) => unknown
  ? T
  : T extends object
    ? { readonly [K in keyof T]: Frozen<T[K]> }
    : T

/** What a section's schema becomes when it is loaded: durations are milliseconds, sizes bytes, and all is read-only. */
export type Section<S extends TSchema> = Frozen<StaticDecode<S>>

/** The settings of the kit. */
export type KitConfig = Section<typeof KitSchema>

/** All settings, checked and frozen. */
export type Config = KitConfig & AppConfig
