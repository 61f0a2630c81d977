/**
 * Turns at hashing: each computation takes memory and a thread of the pool that files and DNS need too, so only a few run at
 * once and the others wait, in the order in which they came.
 */
import { unavailable } from "../core/errors.ts"
import { currentScope } from "../core/scope.ts"

/** Who waits for a turn. */
interface Waiting {
  begin(): void
  leave(reason: Error): void
}

export class Turns {
  private readonly atOnce: number
  private readonly maxWaiting: number
  private readonly waiting = new Set<Waiting>()
  private running = 0
  private isClosed = false

  constructor(atOnce: number, maxWaiting: number) {
    this.atOnce = atOnce
    this.maxWaiting = maxWaiting
  }

  /**
   * Does the work when its turn comes. Work of a request that is called off leaves the queue; once begun it runs to its end.
   * @throws HttpError 503 when too many wait, or after {@link close}
   */
  async take<T>(work: () => Promise<T>): Promise<T> {
    await this.turn()
    try {
      return await work()
    } finally {
      this.pass()
    }
  }

  /** Sends away who waits, and whoever comes. */
  close(): void {
    this.isClosed = true
    for (const one of this.waiting) one.leave(stopping())
  }

  private turn(): Promise<void> | undefined {
    const scope = currentScope()
    if (scope?.abortReason) throw scope.abortReason
    if (this.isClosed) throw stopping()
    if (this.running < this.atOnce) {
      this.running++
      return undefined
    }
    if (this.waiting.size >= this.maxWaiting) throw tooMany()
    return new Promise((resolve, reject) => {
      const one: Waiting = {
        begin: () => {
          scope?.offAbort(one.leave)
          resolve()
        },
        leave: (reason) => {
          this.waiting.delete(one)
          scope?.offAbort(one.leave)
          reject(reason)
        },
      }
      this.waiting.add(one)
      scope?.onAbort(one.leave)
    })
  }

  /** Hands the turn to the next; nobody who comes in between can take it. */
  private pass(): void {
    const [next] = this.waiting
    if (!next) {
      this.running--
      return
    }
    this.waiting.delete(next)
    next.begin()
  }
}

const tooMany = () => unavailable("Too many logins at once. Try again soon.", { headers: { "retry-after": "5" } })
const stopping = () => unavailable("The server is stopping. Try again soon.", { headers: { "retry-after": "2" } })
