/**
 * The supervisor's part of rate limits that hold over all processes: who has which share, and what is left for those who need
 * more. See core/limit-messages.ts for what is said. It forgets no question, and watches none: whoever waits asks again.
 */
import { type LimitAnswer, type LimitQuestion, monotonicNow, restAfter } from "../core/limit-messages.ts"
import { SharedLimit } from "./shared-limit.ts"
import { SharingProcess } from "./sharing-process.ts"

/** A message to each process costs more than the answers, when these are few. */
const usualRest = (answers: number): number => restAfter(answers, 10)

export interface LimitSharesOptions {
  /** Sends it to a process that was added. */
  send(processId: number, answer: LimitAnswer): void
  /** How many clients that need more than a share are known of each limit. Those who asked least are forgotten. */
  maxClients?: number
  /** For how many milliseconds answers wait for each other, after so many were sent at a time. Default {@link restAfter}. */
  rest?: (answers: number) => number
  /** Milliseconds on the clock that the processes have too. */
  now?: () => number
}

export class LimitShares {
  /** When window 0 of all limits began: what processes are told when they begin. */
  readonly windowsFrom: number
  private readonly options: Required<LimitSharesOptions>
  private readonly processes = new Map<number, SharingProcess>()
  private readonly limits = new Map<string, SharedLimit>()
  private outboxes = new Map<SharingProcess, LimitAnswer[]>()
  private mayAnswerAt = 0
  private timer: NodeJS.Timeout | undefined

  constructor({ send, maxClients = 100_000, rest = usualRest, now = monotonicNow }: LimitSharesOptions) {
    this.options = { send, maxClients, rest, now }
    this.windowsFrom = now()
  }

  /** A process begins. It has a share in windows that begin later: in this one its predecessor may have had one. */
  add(processId: number): void {
    this.processes.set(processId, new SharingProcess(processId, this.options.now()))
    this.share()
    this.send()
  }

  /** A process is to end, and has no share in windows that begin later. What it has now is used, or given back at its end. */
  drain(processId: number): void {
    const process = this.processes.get(processId)
    if (!process) return
    process.isDraining = true
    this.share()
    this.send()
  }

  /**
   * A process has ended: call it when nothing can come from it any more, as at the "close" of a child. What it had and did not
   * give back is lost until the windows end, since nobody knows how much of it was used.
   */
  remove(processId: number): void {
    const process = this.processes.get(processId)
    if (!process) return
    this.processes.delete(processId)
    const now = this.options.now()
    process.goneAt = Math.min(process.goneAt, now)
    for (const limit of this.limits.values()) limit.remove(process, now)
    this.share()
    this.send()
  }

  receive(processId: number, question: LimitQuestion): void {
    const process = this.processes.get(processId)
    if (process) this.hear(process, question)
    this.send()
  }

  private hear(process: SharingProcess, question: LimitQuestion): void {
    switch (question.about) {
      case "several":
        for (const one of question.questions) this.hear(process, one)
        break
      case "limit":
        this.limit(question).add(process)
        // Not before: only now is it known that it hears.
        process.isListening = true
        this.share()
        break
      case "share":
        process.confirm(question.from)
        this.share()
        break
      case "unused":
        for (const unused of question.unused) this.limits.get(unused.limit)?.giveBack(process, unused)
        process.goneAt = this.options.now()
        break
      default:
        if (question.about === "more") this.limits.get(question.limit)?.more(process, question)
        else this.limits.get(question.limit)?.returned(process, question)
    }
  }

  private limit({ limit: id, max, windowMs }: Extract<LimitQuestion, { about: "limit" }>): SharedLimit {
    let limit = this.limits.get(id)
    if (!limit) {
      const { maxClients } = this.options
      const send = (process: SharingProcess, answer: LimitAnswer) => this.post(process, answer)
      limit = new SharedLimit({ id, max, windowMs, windowsFrom: this.windowsFrom, maxClients, send })
      this.limits.set(id, limit)
    }
    return limit
  }

  /**
   * Gives each process that stays one share of as many as there are. Those whose share becomes smaller are told first, and the
   * others when these have confirmed it: in no window are the shares together more than the whole.
   */
  private share(): void {
    const processes = [...this.processes.values()]
    const count = processes.filter(({ isDraining }) => !isDraining).length
    const wanted = processes.map((process) => ({ process, part: process.isDraining ? 0 : 1 / count }))
    const tell = (process: SharingProcess) => {
      const shares = process.isDraining ? 0 : count
      process.tell(shares, this.options.now())
      this.post(process, { about: "share", processes: shares })
    }
    const begins = [...this.limits.values()].map((limit) => limit.beginOf(this.options.now()))
    for (const process of processes) process.forget(begins)
    for (const { process, part } of wanted) if (process.lastPart > part) tell(process)
    if (wanted.some(({ process, part }) => process.largestPart > part)) return
    for (const { process, part } of wanted) if (process.isListening && process.lastPart < part) tell(process)
  }

  private post(process: SharingProcess, answer: LimitAnswer): void {
    const answers = this.outboxes.get(process)
    if (answers) answers.push(answer)
    else this.outboxes.set(process, [answer])
  }

  /** Sends what there is, to each process in one message. */
  private send(): void {
    if (this.timer || this.outboxes.size === 0) return
    const waitMs = this.mayAnswerAt - performance.now()
    if (waitMs > 0) this.timer = setTimeout(() => this.sendAll(), waitMs).unref()
    else this.sendAll()
  }

  private sendAll(): void {
    this.timer = undefined
    const outboxes = this.outboxes
    this.outboxes = new Map()
    let count = 0
    for (const [{ id }, answers] of outboxes) {
      count += answers.length
      this.options.send(id, answers.length === 1 ? answers[0]! : { about: "several", answers })
    }
    this.mayAnswerAt = performance.now() + this.options.rest(count)
  }
}
