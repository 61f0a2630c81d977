/**
 * The transaction of one request: begun before its handler, ended with its answer, or else when the request can have none any
 * more. Nothing that a handler does, or leaves undone, keeps it open.
 */
import type { FastifyReply, FastifyRequest } from "fastify"
import type { ControlledTransaction } from "kysely"
import type { Tables } from "../../core/declared.ts"
import { unavailable } from "../../core/errors.ts"
import { runIn } from "../../core/scope.ts"
import type { Db } from "../../db/database.ts"
import type {} from "../requests.ts"

export class RequestTransaction {
  readonly tx: ControlledTransaction<Tables>
  private ending: Promise<void> | undefined

  private constructor(tx: ControlledTransaction<Tables>) {
    this.tx = tx
  }

  static async begin(request: FastifyRequest, reply: FastifyReply): Promise<RequestTransaction> {
    const { work, server } = request
    // With the request its transaction is called off: its query is cancelled, and only a rollback passes after that.
    const transaction = new RequestTransaction(await runIn(work, () => server.db.startTransaction().execute()))
    if (work.abortReason) {
      await transaction.rollBack()
      throw work.abortReason
    }
    const closed = () => transaction.outlive(request, reply)
    if (reply.raw.closed) closed()
    else reply.raw.once("close", closed)
    return transaction
  }

  /** False from the moment when its end begins. */
  get isOpen(): boolean {
    return this.ending === undefined
  }

  /** Says its last word and commits; where either fails it is rolled back. One that has ended stays as it is. */
  commit(last: (tx: Db) => Promise<void>): Promise<void> {
    this.ending ??= this.commitAfter(last)
    return this.ending
  }

  /** Rolls back, unless its end has begun already, and waits for that in any case. */
  rollBack(): Promise<void> {
    this.ending ??= this.undo()
    return this.ending.catch(() => {})
  }

  private async commitAfter(last: (tx: Db) => Promise<void>): Promise<void> {
    try {
      await last(this.tx)
      await this.tx.commit().execute()
    } catch (error) {
      await this.undo()
      throw error
    }
  }

  private async undo(): Promise<void> {
    // A connection that takes no rollback is gone, and PostgreSQL rolls back by itself.
    await this.tx
      .rollback()
      .execute()
      .catch(() => {})
  }

  /** Nobody waits for an answer any more, and the transaction is still open. */
  private outlive(request: FastifyRequest, reply: FastifyReply): void {
    if (!this.isOpen) return
    const { work, log, method, routeOptions, id } = request
    const route = `${method} ${routeOptions.url}`
    if (reply.raw.writableEnded) {
      void this.rollBack()
      if (reply.statusCode < 400) {
        log.error(`${route} was answered past Fastify, and rolled back (${id}). An idempotent route uses reply.send.`)
      }
      return
    }
    // The client hung up. What changes data runs to its end, but no longer than it might have with a client.
    const end = () => {
      if (!this.isOpen) return
      work.callOff(unavailable("The request took too long and was stopped."))
      void this.rollBack()
      log.error(`${route} took too long after its client had hung up, and was rolled back (${id})`)
    }
    setTimeout(end, Math.max(0, work.deadline - performance.now())).unref()
  }
}
