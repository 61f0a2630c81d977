/** Where one process after the other stands, and when the one that is there has had its time. */
import type { Config } from "../core/config/index.ts"
import { Backoff } from "./backoff.ts"
import type { WorkerProcess } from "./worker-process.ts"

/**
 * What a process does: "web" answers requests, "job" runs background jobs, "alone" runs those that may have ended their process,
 * one by one, and ends when there are no more.
 */
export type Kind = "web" | "job" | "alone"

/** The commands of `trestle` that they run. */
export const commandOf: Record<Kind, string> = { web: "web-worker", job: "job-worker", alone: "alone-worker" }

/** By so much the limits of a process differ from those of the others, so that they are not all replaced at once. */
const jitter = 0.1

export class Place {
  readonly kind: Kind
  readonly name: string
  current: WorkerProcess | undefined
  readonly backoff = new Backoff()
  /** Whether the next one is not started yet, after a failure. */
  isWaiting = false
  restarts = 0
  /** Why the last one ended that was not asked to. */
  lastEnd: string | null = null
  /** Whether its process is to be replaced already. */
  isDue = false
  private turn: Promise<unknown> = Promise.resolve()
  private answeredAtMost = Infinity
  private ageAtMostMs = Infinity

  constructor(kind: Kind, name: string) {
    this.kind = kind
    this.name = name
  }

  /** What is done with it comes one after the other. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.turn.then(work)
    this.turn = done.catch(() => {})
    return done
  }

  /** Puts a process in, with limits of its own. */
  take(worker: WorkerProcess, { max_requests: requests, max_age: age }: Config["workers"]): void {
    const around = (limit: number) => limit * (1 - jitter + 2 * jitter * Math.random())
    this.current = worker
    this.isDue = false
    this.answeredAtMost = requests === 0 ? Infinity : around(requests)
    this.ageAtMostMs = age === undefined ? Infinity : around(age)
  }

  /** Why its process should be replaced by now; undefined when it need not. */
  whyDue({ soft_memory = Infinity }: Config["workers"]): string | undefined {
    const { vitals, memoryAtFirst } = this.current!
    const { memory, answered } = vitals
    // One that began with more would have a successor that does so too.
    const hasGrown = (memoryAtFirst ?? memory) <= soft_memory
    if (memory > soft_memory && hasGrown) return `it uses ${megabytes(memory)}, more than workers.soft_memory`
    if (answered >= this.answeredAtMost) return `it has answered ${answered} requests`
    if (Date.now() - this.current!.started >= this.ageAtMostMs) return "workers.max_age"
    return undefined
  }
}

export const megabytes = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`
