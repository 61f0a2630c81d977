/**
 * Says whether the server can do its work now, for load balancers: they send requests elsewhere while it cannot. Unlike health.ts
 * it is no reason to restart a server, which would not bring the database back.
 */
import type { FastifyReply } from "fastify"
import type { Api } from "../app.ts"
import { BaseResponse, baseResponse } from "../core/base-response.ts"
import { unavailable } from "../core/errors.ts"
import type { Log } from "../core/log.ts"
import { runIn } from "../core/scope.ts"
import type { Database } from "../db/database.ts"
import { isPending, type Ledger, migrationStates } from "../db/migrations.ts"
import type { OpenRedis } from "../db/redis.ts"
import { sendProblem } from "./problems.ts"

/** How long the parts may take to answer, in milliseconds; together with the way there and back it stays below a second. */
const answerWithinMs = 800

/** How long the result of a look is given to others, in milliseconds: so many calls as may come cost four looks a second. */
const keptMs = 250

const headers = { "cache-control": "no-store", "retry-after": "2" }

export interface ReadyOptions {
  database: Pick<Database, "db" | "ask">
  redis: Pick<OpenRedis, "client"> | undefined
  ledgers: Ledger[]
  /** Whether the process is about to end, so that nothing new should be sent to it. */
  isDraining: () => boolean
  log: Log
}

/** What is not ready, as a client may know it, and why, as only the log says it. */
type Troubles = Map<string, string>

const stopping: Troubles = new Map([["the server is stopping", ""]])
const saying = (troubles: Troubles) => [...troubles.keys()].sort().join("; ")

export function ready(api: Api, { isDraining, log, ...parts }: ReadyOptions): void {
  const look = createLook(parts)
  let isClosing = false
  api.addHook("preClose", async () => {
    isClosing = true
  })

  let known = ""
  /** Says what changed, once. */
  const note = (troubles: Troubles) => {
    const now = saying(troubles)
    if (now && now !== known) log.warn(`Not ready: ${now} (${[...troubles.values()].join("; ")}).`)
    if (known && !now) log.info("Ready again.")
    known = now
  }

  /**
   * Says whether the server can do its work.
   * It answers 503 while the database or Redis does not answer, while migrations are pending, and while the server stops; `detail`
   * says which of these it is.
   */
  api.get(
    "/api/health/ready",
    { role: "visitor", rateLimit: false, schema: { response: { 200: BaseResponse } } },
    async (request, reply) => {
      const isStopping = isClosing || isDraining()
      const troubles = isStopping ? stopping : await look()
      if (!isStopping) note(troubles)
      if (troubles.size === 0) {
        reply.header("cache-control", "no-store")
        return baseResponse("Server is ready")
      }
      // Not thrown: it is asked often, and an error in the log each time would hide the others.
      const error = unavailable(`Not ready: ${saying(troubles)}.`, { headers })
      return sendProblem(request, reply as FastifyReply, error) as never
    },
  )
}

/** Makes what finds out the troubles there are; all who ask at about the same time share one look. */
function createLook({ database, redis, ledgers }: Pick<ReadyOptions, "database" | "redis" | "ledgers">) {
  let shared: Promise<Troubles> | undefined
  let isMigrated = false
  let states: Promise<boolean> | undefined

  /** Asked until they are in place. */
  const hasMigrations = async (): Promise<boolean> => {
    if (isMigrated) return true
    // One that waits for a connection longer than a look takes is waited for by the next.
    states ??= migrationStates(database.db, ledgers)
      .then((all) => !all.some(isPending))
      .finally(() => {
        states = undefined
      })
    isMigrated = await states
    return isMigrated
  }

  async function look(): Promise<Troubles> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      // What arrived while this process was busy is read first.
      timer = setTimeout(() => setImmediate(reject, new Error(`nothing in ${answerWithinMs} ms`)), answerWithinMs)
    })
    const troubles: Troubles = new Map()
    const hear = async (whose: string, asked: Promise<unknown>) => {
      try {
        return await Promise.race([asked, late])
      } catch (error) {
        troubles.set(`${whose} does not answer`, (error as Error).message)
      }
    }
    const [isComplete] = await Promise.all([
      hear("the database", hasMigrations()),
      hear("the database", database.ask()),
      redis && hear("Redis", redis.client.ping()),
    ])
    clearTimeout(timer)
    if (isComplete === false) troubles.set("migrations are pending", "npx trestle migrate up")
    return troubles
  }

  return (): Promise<Troubles> => {
    if (!shared) {
      // Whoever came first may hang up, and the others still want to know.
      shared = runIn(undefined, look)
      void shared.finally(() => setTimeout(() => (shared = undefined), keptMs).unref())
    }
    return shared
  }
}
