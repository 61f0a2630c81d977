/** What the supervisor knows of one limit, in the present window: what each process has, by client, and what is left. */
import { Busiest } from "../core/busiest.ts"
import type { LimitAnswer, LimitQuestion, Unused } from "../core/limit-messages.ts"
import type { SharingProcess } from "./sharing-process.ts"

type About<A extends LimitQuestion["about"]> = Extract<LimitQuestion, { about: A }>

/** What one process has of one client's limit. */
interface Part {
  process: SharingProcess
  /** The share that it began the window with, as `shares` has it. */
  share: number
  /** So many it may have admitted. */
  held: number
  /** So many it has admitted, as far as it has said. */
  used: number
  /** It has said that it has nothing left. */
  isSpent: boolean
  /** Whether it was asked what it has left, and has not answered. */
  isRecalled: boolean
  /** Whether it was refused more while others had not answered. */
  isDenied: boolean
  question: { id: number; waiting: number } | undefined
  /** The last question that was answered. */
  answeredId: number
}

/** A client of whom a process needed more than its share. */
interface Client {
  parts: Part[]
  /** Those with a question, in the order in which they came. */
  queue: Part[]
}

/** Of a client without anything left nothing more needs to be known. */
const exhausted: Client = { parts: [], queue: [] }

export interface SharedLimitOptions {
  id: string
  max: number
  windowMs: number
  windowsFrom: number
  maxClients: number
  send(process: SharingProcess, answer: LimitAnswer): void
}

export class SharedLimit {
  private readonly options: SharedLimitOptions
  /** All who have this limit, and those who are gone but may have used it in the window. */
  private readonly processes = new Set<SharingProcess>()
  private window = -1
  /** What each process may admit of every client, and all together. */
  private readonly shares = new Map<SharingProcess, number>()
  private shared = 0
  private readonly clients: Busiest<Client>
  /** What was used by processes that gave the rest back. */
  private readonly given = new Map<string, number>()

  constructor(options: SharedLimitOptions) {
    this.options = options
    this.clients = new Busiest(options.maxClients, (client) => (client === exhausted ? options.max : usedOf(client)))
  }

  /** How many clients are known. */
  get size(): number {
    return this.clients.size
  }

  /** A process has this limit. */
  add(process: SharingProcess): void {
    if (this.processes.has(process)) return
    this.processes.add(process)
    this.hold(process)
  }

  /** When the window of this moment began. */
  beginOf(now: number): number {
    const { windowMs, windowsFrom } = this.options
    return windowsFrom + Math.floor((now - windowsFrom) / windowMs) * windowMs
  }

  /** A process is gone, with what it had. */
  remove(process: SharingProcess, now: number): void {
    this.open(Math.floor((now - this.options.windowsFrom) / this.options.windowMs))
    for (const [client, state] of this.clients) {
      const part = state.parts.find((one) => one.process === process)
      if (part) {
        part.question = undefined
        part.isRecalled = false
        part.isDenied = false
        state.queue = state.queue.filter((one) => one !== part)
      }
      this.settle(client, state)
    }
    // One that fails again and again in a long window leaves nothing behind.
    if (!this.shares.has(process)) this.processes.delete(process)
  }

  /** A process needs more for a client. */
  more(process: SharingProcess, { window, client, used, waiting, id }: About<"more">): void {
    this.open(window)
    const state = window < this.window ? exhausted : this.stateOf(client)
    if (state === exhausted) {
      this.deny(process, window, client)
      return
    }
    const part = this.partOf(state, process)
    if (id <= part.answeredId) return
    if (part.question?.id === id) {
      part.question.waiting = waiting
      // It waits for a process that does not answer. What that one has may come yet.
      this.settle(client, state)
      if (part.question) this.refuse(client, state, part)
      return
    }
    // It had too many clients and forgot what it had admitted of this one.
    if ((part.answeredId > 0 || part.isSpent) && used < part.held) {
      this.deny(process, window, client)
      return
    }
    spend(part, used)
    part.question = { id, waiting }
    state.queue.push(part)
    this.settle(client, state)
  }

  /** A process has answered what it had left. */
  returned(process: SharingProcess, { window, client, used }: About<"returned">): void {
    const state = window === this.window ? this.clients.get(client) : undefined
    const part = state?.parts.find((one) => one.process === process)
    if (!part?.isRecalled) return
    part.isRecalled = false
    spend(part, used)
    this.settle(client, state!)
  }

  /** A process gives back what it did not use. */
  giveBack(process: SharingProcess, { window, used }: Unused): void {
    this.open(window)
    const counts = window === this.window ? Object.entries(used) : []
    // As if it were killed: what it used could not be remembered.
    if (this.given.size + counts.length > this.options.maxClients) return
    this.shared -= this.shares.get(process) ?? 0
    this.shares.delete(process)
    for (const [client, count] of counts) this.given.set(client, (this.given.get(client) ?? 0) + count)
    for (const [client, state] of this.clients) {
      state.parts = state.parts.filter((part) => part.process !== process)
      state.queue = state.queue.filter((part) => part.process !== process)
      this.settle(client, state)
    }
  }

  /** Begins a window, unless it has begun. */
  private open(window: number): void {
    if (window <= this.window) return
    const former = this.window
    for (const [client, { queue }] of this.clients) {
      for (const { process } of queue) this.deny(process, former, client)
    }
    this.clients.clear()
    this.given.clear()
    this.shares.clear()
    this.shared = 0
    this.window = window
    for (const process of this.processes) {
      this.hold(process)
      if (process.goneAt < Number.POSITIVE_INFINITY && !this.shares.has(process)) this.processes.delete(process)
    }
  }

  /** Takes it that the process may use up its share for every client. */
  private hold(process: SharingProcess): void {
    const { max, windowMs, windowsFrom } = this.options
    const share = this.window < 0 ? 0 : process.shareIn(windowsFrom + this.window * windowMs, max)
    if (share === 0) return
    this.shares.set(process, share)
    this.shared += share
  }

  private stateOf(client: string): Client {
    let state = this.clients.get(client)
    if (!state) {
      state = { parts: [], queue: [] }
      this.clients.add(client, state)
    }
    return state
  }

  private partOf(state: Client, process: SharingProcess): Part {
    const known = state.parts.find((one) => one.process === process)
    if (known) return known
    const share = this.shares.get(process) ?? 0
    const part: Part = {
      process,
      share,
      held: share,
      used: 0,
      isSpent: share === 0,
      isRecalled: false,
      isDenied: false,
      question: undefined,
      answeredId: 0,
    }
    state.parts.push(part)
    return part
  }

  /** Answers those who ask, as far as can be said now. */
  private settle(client: string, state: Client): void {
    while (state.queue.length > 0) {
      const free = this.free(client, state)
      // What a process says of its rest must not cross with a grant.
      const next = state.queue.find(({ isRecalled }) => !isRecalled)
      if (free > 0 && next) this.grant(client, state, next, free)
      else {
        if (free <= 0 && !this.recall(client, state)) this.exhaust(client)
        return
      }
    }
    for (const part of state.parts) {
      const free = part.isDenied && !part.isRecalled ? this.free(client, state) : 0
      if (free > 0) this.grant(client, state, part, free)
    }
  }

  /** What nobody has. */
  private free(client: string, { parts }: Client): number {
    let free = this.options.max - this.shared - (this.given.get(client) ?? 0)
    for (const { held, share } of parts) free -= held - share
    return free
  }

  private grant(client: string, state: Client, part: Part, free: number): void {
    const { id = 0, waiting = 0 } = part.question ?? {}
    part.held += Math.min(free, Math.max(waiting, this.portion(free, state, part)))
    part.isSpent = false
    part.isDenied = false
    part.question = undefined
    part.answeredId = Math.max(part.answeredId, id)
    state.queue = state.queue.filter((one) => one !== part)
    const others = usedOf(state) - part.used + (this.given.get(client) ?? 0)
    this.options.send(part.process, { about: "granted", ...this.place(client), upTo: part.held, others, id })
  }

  /**
   * How much of what is left one gets. Something stays for the others, who would have to recall it: less of it when one alone asks
   * again and again, as it does for a client with one connection.
   */
  private portion(free: number, { parts }: Client, part: Part): number {
    const { size } = this.processes
    const isAlone = part.answeredId > 0 && parts.every((one) => one === part || (one.answeredId === 0 && !one.question))
    return Math.ceil(free / (isAlone ? Math.min(2, size) : size))
  }

  /** Asks for what others have left; returns whether answers are due. */
  private recall(client: string, state: Client): boolean {
    let isDue = false
    for (const process of this.processes) {
      if (process.goneAt < Number.POSITIVE_INFINITY) continue
      const part = this.partOf(state, process)
      if (!part.isSpent && !part.isRecalled) {
        part.isRecalled = true
        this.options.send(process, { about: "recall", ...this.place(client) })
      }
      isDue ||= part.isRecalled
    }
    return isDue
  }

  /** Nobody has any left: all are told, before they ask. */
  private exhaust(client: string): void {
    this.clients.set(client, exhausted)
    for (const process of this.processes) {
      if (process.goneAt === Number.POSITIVE_INFINITY) this.deny(process, this.window, client)
    }
  }

  private refuse(client: string, state: Client, part: Part): void {
    part.answeredId = part.question!.id
    part.question = undefined
    part.isDenied = true
    state.queue = state.queue.filter((one) => one !== part)
    this.deny(part.process, this.window, client)
  }

  private deny(process: SharingProcess, window: number, client: string): void {
    this.options.send(process, { about: "denied", limit: this.options.id, window, client })
  }

  private place(client: string) {
    return { limit: this.options.id, window: this.window, client }
  }
}

/** The process has used what it had. */
function spend(part: Part, used: number): void {
  part.held = used
  part.used = used
  part.isSpent = true
}

const usedOf = ({ parts }: Client): number => parts.reduce((sum, { used }) => sum + used, 0)
