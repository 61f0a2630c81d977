/** The HTTP server, put together. Read it as a table of contents: each line is a capability, in the order it applies. */
import type { ServerResponse } from "node:http"
import { join } from "node:path"
import Fastify, { type FastifyBaseLogger, type FastifyError, type FastifyInstance } from "fastify"
import { type Api, type App, pathOf } from "./app.ts"
import { accountRoutes } from "./auth/account-routes.ts"
import { addCallers } from "./auth/authorize.ts"
import { identityRoutes } from "./auth/identity-routes.ts"
import { linkRoutes } from "./auth/link-routes.ts"
import { login } from "./auth/login.ts"
import { meRoutes } from "./auth/me-routes.ts"
import { type AuthOptions, openAuth } from "./auth/open-auth.ts"
import { authPages } from "./auth/pages/auth-pages.ts"
import { requestSessions } from "./auth/request-session.ts"
import { hideAnswers } from "./auth/sign-in/hide-answers.ts"
import { openProviders } from "./auth/sign-in/providers.ts"
import { userRoutes } from "./auth/user-routes.ts"
import { type Capabilities, jobsOf } from "./capabilities.ts"
import { closeByDefault } from "./closed-by-default.ts"
import type { Config } from "./core/config/index.ts"
import { BootError } from "./core/errors.ts"
import type { LimitChannel } from "./core/limit-messages.ts"
import type { Log } from "./core/log.ts"
import type { Mode } from "./core/mode.ts"
import type { Database } from "./db/database.ts"
import { ledgersOf } from "./db/migrations.ts"
import { forgetSources } from "./docs/doc-comments.ts"
import { documentation } from "./docs/documentation.ts"
import { clientAddresses } from "./http/client-address.ts"
import { cors } from "./http/cors.ts"
import { guardRequests, pathOfTarget } from "./http/guards.ts"
import { health } from "./http/health.ts"
import { idempotentRoutes } from "./http/idempotency/idempotent-routes.ts"
import { jobState } from "./http/job-state.ts"
import { readJsonBodies } from "./http/json-body.ts"
import { answerUnrouted, routerOptions } from "./http/methods.ts"
import { answerError } from "./http/problems.ts"
import { rateLimits } from "./http/rate-limits.ts"
import { ready } from "./http/ready.ts"
import { refuseConnections, refuseTargets, refuseTunnels } from "./http/refusals.ts"
import { mediaType, serializerCompiler, undeclaredFields } from "./http/replies.ts"
import { requestIds, showRequestIds } from "./http/request-ids.ts"
import { BrokenStreamsOnly, requestLog } from "./http/request-log.ts"
import { watchRequests } from "./http/requests.ts"
import { responseWith } from "./http/response.ts"
import { plainSecurityHeaders, securityHeaders } from "./http/security-headers.ts"
import { openStaticFiles, staticFiles } from "./http/static/static-files.ts"
import type { Tls } from "./http/tls.ts"
import { compileValidator } from "./http/validation.ts"
import { devMail } from "./mail/dev-mail.ts"

export interface ServerOptions {
  app: App
  config: Config
  mode: Mode
  database: Database
  capabilities: Capabilities
  /** Where sessions are kept, instead of in the database, and limits are counted, over all machines. */
  redis?: AuthOptions["redis"]
  /** Reaches the supervisor, through which limits hold over all processes of this machine. */
  limits?: LimitChannel | undefined
  log: Log
  /** With a certificate the server speaks HTTPS only. */
  tls?: Tls | undefined
  /** What the log calls this process: `web 1`. */
  process?: string | undefined
  /** Whether the process is about to end; `/api/health/ready` then answers 503, so that nothing new is sent to it. */
  isDraining?: (() => boolean) | undefined
}

/** Makes the server of an application, ready to listen. It closes neither the database nor anything else it was given. */
export async function createServer({
  app,
  config,
  mode,
  database,
  capabilities,
  redis,
  limits,
  log,
  tls,
  process: processName,
  isDraining = () => false,
}: ServerOptions): Promise<FastifyInstance> {
  const nextId = requestIds()
  const refuse = refuseConnections(config.security, nextId, log)
  const Response = responseWith(plainSecurityHeaders(config.security))
  const server = Fastify({
    loggerInstance: log.for("server") as FastifyBaseLogger,
    logController: new BrokenStreamsOnly(),
    genReqId: nextId,
    // Who was let in is answered, in the seconds of a stop too.
    return503OnClosing: false,
    bodyLimit: config.server.body_limit,
    keepAliveTimeout: config.server.keep_alive_timeout,
    requestTimeout: config.server.receive_timeout,
    forceCloseConnections: "idle",
    http: nodeOptions(config, Response),
    // Fastify's types would make this another kind of server; the two differ in nothing that is used of them.
    ...((tls ? { https: { ...nodeOptions(config, Response), ...tls.options } } : {}) as object),
    routerOptions,
    rewriteUrl: pathOfTarget,
    frameworkErrors: refuseTargets(config.security) as never,
    clientErrorHandler: refuse as never,
  })
  refuseTunnels(server, refuse)
  server.decorate("db", database.db)
  const { kv, jobs, mail, webhooks } = capabilities
  server.decorate("kv", kv)
  server.decorate("jobs", jobs)
  server.decorate("mail", mail)
  server.decorate("webhooks", webhooks)
  // A stop waits for requests, so requests should wait for nothing.
  server.addHook("preClose", async () => kv.stopWaiting())
  server.decorate("config", config)
  server.decorate("mode", mode)
  server.decorateReply("isProblem", false)

  server.setErrorHandler(answerError)
  server.setValidatorCompiler(compileValidator as never)
  server.setSerializerCompiler(
    serializerCompiler(undeclaredFields(mode === "production", log), config.json_response.indent) as never,
  )
  const ends = watchRequests(server, { timeoutMs: config.workers.request_timeout, process: processName })
  if (config.json_response.media_type !== "application/json") {
    server.addHook("preSerialization", mediaType(config.json_response.media_type))
  }
  clientAddresses(server, config.server.trusted_proxies, log)
  securityHeaders(server, config.security, Response)
  showRequestIds(server)
  hideAnswers(server, config.sign_in)
  requestLog(server, config.logging, log, ends)
  guardRequests(server)
  cors(server, config.cors)
  rateLimits(server, config.rate_limit, { limits, redis, log })
  readJsonBodies(server, config.server.json_depth)
  const files = openStaticFiles(join(app.folder, "static"), config.static_files)
  answerUnrouted(server, files)
  addCallers(server)
  idempotentRoutes(server, log.for("idempotency"))
  documentation(server, { app, config, mode })

  const { identify, accounts, close } = openAuth({ app, config, database, redis, jobs, mail, log })
  server.addHook("onClose", close)
  requestSessions(server, accounts.sessions)
  const providers = openProviders(config.sign_in)
  const rules = { deniedStatus: config.roles.denied_status, identify }

  await server.register(async (api) => {
    closeByDefault(api, rules)
    health(api as unknown as Api)
    ready(api as unknown as Api, {
      database,
      redis,
      ledgers: await ledgersOf(app.folder),
      isDraining,
      log: log.for("health"),
    })
    login(api as unknown as Api, config.api_keys.enabled)
    jobState(api as unknown as Api, jobsOf(app))
  })
  await server.register(async (api) => {
    closeByDefault(api, rules, "accounts")
    // What is said of people and their tokens is nobody's to keep.
    api.addHook("onRequest", async (_request, reply) => void reply.header("cache-control", "no-store"))
    accountRoutes(api as unknown as Api, accounts)
    meRoutes(api as unknown as Api, accounts)
    identityRoutes(api as unknown as Api, accounts, providers)
    linkRoutes(api as unknown as Api, accounts)
    userRoutes(api as unknown as Api, accounts)
    await authPages(api as unknown as Api, { accounts, providers, config, app: app.name, log: log.for("auth") })
  })
  if (mode !== "production") {
    await server.register(async (api) => {
      closeByDefault(api, rules)
      devMail(api, mail, app.name)
    })
  }
  for (const [key, routes] of Object.entries(app.routes)) {
    await server.register(
      async (api) => {
        closeByDefault(api, rules)
        try {
          await routes(api as unknown as Api)
        } catch (error) {
          throw registrationError(error as Error, app.folder)
        }
      },
      { prefix: pathOf(key) },
    )
  }
  staticFiles(server, files, config.docs.enabled && config.docs.list ? "/api/list" : undefined)
  await server.ready()
  forgetSources()
  return server
}

/** A route that is there twice is told in a sentence, with its place; any other error of an application keeps its stack. */
function registrationError(error: Error, folder: string): Error {
  if ((error as FastifyError).code !== "FST_ERR_DUPLICATED_ROUTE") return error
  const place = error.stack?.split("\n").find((line) => line.includes(folder))
  return new BootError(
    `${error.message}. Two routes cannot have the same method and path: remove one.\n${place ?? ""}`,
    {
      cause: error,
    },
  )
}

/** What Node's own server is told; the same for HTTP and HTTPS. */
const nodeOptions = (config: Config, Response: typeof ServerResponse | undefined) => ({
  headersTimeout: config.server.headers_timeout,
  // Node looks for connections over their time this often, in milliseconds; its default of 30 s would be three time-outs late.
  connectionsCheckingInterval: 1000,
  // A missing Host is refused by our guard, with a body that says so.
  requireHostHeader: false,
  ...(Response && { ServerResponse: Response }),
})
