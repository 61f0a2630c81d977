/**
 * Routes that may be asked twice: `idempotent: true`. The handler works in a transaction, `request.tx`, which is committed before
 * the answer is sent. With an Idempotency-Key the answer is kept in the same transaction, so that whoever asks again gets it
 * again, also when a killed process could not send it (docs/decisions/0010-idempotency.md).
 */
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from "fastify"
import type { Transaction } from "kysely"
import type { Tables } from "../../core/declared.ts"
import { BootError } from "../../core/errors.ts"
import type { Log } from "../../core/log.ts"
import type {} from "../problems.ts"
import { type Answer, answerOf, giveTo, type Headers } from "./answer.ts"
import { claim, keep, sweepKeptAnswers } from "./kept-answers.ts"
import { type KeyedRequest, readKeyed } from "./key.ts"
import { RequestTransaction } from "./request-transaction.ts"

/** A request that has come as far as its handler. */
interface Attempt {
  transaction: RequestTransaction
  /** What was answered to the same request before. */
  kept: Answer | undefined
  /** The headers that its reply had before the handler. */
  former: Headers
  /** Whether an answer is under way; a second one goes nowhere, unless it says that the first could not be sent. */
  isAnswered: boolean
}

const keyed = Symbol("keyed request")
const attempt = Symbol("attempt")
type Request = FastifyRequest & { [keyed]?: KeyedRequest | undefined; [attempt]?: Attempt }

const sweepEveryMs = 10 * 60 * 1000
const methods = ["POST", "PUT", "PATCH", "DELETE"]

/** Adds `request.tx`, and removes what has expired. */
export function idempotentRoutes(api: FastifyInstance, log: Log): void {
  api.decorateRequest("tx", {
    getter(this: Request): Transaction<Tables> {
      const { transaction } = this[attempt] ?? {}
      if (transaction) return transaction.tx
      throw new Error("request.tx is for the handlers of routes with idempotent: true. Elsewhere take api.db.")
    },
  } as never)

  const sweep = () =>
    sweepKeptAnswers(api.db).catch((error: Error) => log.warn(`Expired answers were not removed: ${error.message}`))
  const timer = setInterval(sweep, sweepEveryMs).unref()
  api.addHook("onClose", async () => clearInterval(timer))
}

/** Makes the route idempotent. Its `onSend` hooks must be complete: ours comes last, since it commits. */
export function makeIdempotent(route: RouteOptions): void {
  for (const method of [route.method].flat()) {
    if (methods.includes(method)) continue
    throw new BootError(
      `The route ${route.method} ${route.url} has idempotent: true, which is for ${methods.join(", ")}. Leave it out: ` +
        `a ${method} may be sent twice as it is.`,
    )
  }
  const { handler } = route
  route.preValidation = [
    ...[route.preValidation ?? []].flat(),
    // After the role, since a key counts for its caller; it is claimed after validation, so what is refused uses up none.
    async (request: Request) => {
      request[keyed] = readKeyed(request, `${request.method} ${route.url}`)
    },
  ]
  route.handler = async function (request: Request, reply) {
    reply.hijack = refuseHijack
    const current = await begin(request, reply)
    request[attempt] = current
    if (current.kept) {
      reply.header("idempotency-replayed", "true")
      return reply.send(giveTo(reply, current.kept) ?? undefined)
    }
    const { transaction } = current
    try {
      const returned = handler.call(this, request, reply) as unknown
      const answer = await returned
      if (answer !== undefined) return answer
      // Fastify would not answer a client that hung up, and without an answer there is no commit.
      if (returned instanceof Promise && transaction.isOpen && !reply.sent) return reply.send()
      // It answers later, or was answered already.
      return reply
    } catch (error) {
      await transaction.rollBack()
      throw error
    }
  }
  route.onSend = [...[route.onSend ?? []].flat(), commitAnswer]
}

function refuseHijack(): never {
  throw new Error("An idempotent route cannot answer past Fastify: what is sent must be kept. Take reply.send.")
}

/** Opens the transaction, and claims the key in it. */
async function begin(request: Request, reply: FastifyReply): Promise<Attempt> {
  const former = reply.getHeaders()
  const transaction = await RequestTransaction.begin(request, reply)
  try {
    const kept = request[keyed] && (await claim(transaction.tx, request[keyed]))
    if (kept) await transaction.rollBack()
    return { transaction, kept, former, isAnswered: false }
  } catch (error) {
    await transaction.rollBack()
    throw error
  }
}

/** The last `onSend` hook: ends the transaction as the answer says, and lets the answer pass when that is done. */
function commitAnswer(
  request: Request,
  reply: FastifyReply,
  payload: unknown,
  done: (error: null, payload: unknown) => void,
): Promise<unknown> | undefined {
  const current = request[attempt]
  // Refused before its transaction began, or called off: at once, before a handler that goes on can change the reply.
  if (!current || request.work.abortReason) {
    void current?.transaction.rollBack()
    done(null, payload)
    return undefined
  }
  if (current.isAnswered) return undefined
  current.isAnswered = true
  return settle(current, request, reply, payload)
}

async function settle(current: Attempt, request: Request, reply: FastifyReply, payload: unknown): Promise<unknown> {
  const { transaction, kept, former } = current
  try {
    if (reply.isProblem || reply.statusCode >= 400) {
      await transaction.rollBack()
      current.isAnswered = false
      return payload
    }
    // With a kept one the hooks have run as for any answer, but what is sent is what was sent the first time.
    const answer = kept ?? answerOf(reply, payload, former)
    if (!kept) {
      await transaction.commit(async (tx) => {
        if (request[keyed]) await keep(tx, request[keyed], answer)
      })
    }
    return giveTo(reply, answer)
  } catch (error) {
    await transaction.rollBack()
    current.isAnswered = false
    throw error
  } finally {
    // Called off meanwhile, and answered so.
    if (request.work.abortReason) await new Promise(() => {})
  }
}
