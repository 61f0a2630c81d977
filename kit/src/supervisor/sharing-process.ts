/** What the supervisor knows of a process that has shares of limits. */
import { shareOf } from "../core/limit-messages.ts"

/** A share that the process was told: one of so many, 0 for none. */
interface Told {
  processes: number
  toldAt: number
  /** Windows that begin later have it. Until the process has confirmed it, those that begin after `toldAt` may. */
  from: number
}

/** Clocks are read in several processes, and calculated with. */
const clockErrorMs = 1

export class SharingProcess {
  readonly id: number
  /** Whether it has said that it has limits. */
  isListening = false
  isDraining = false
  /** Since when it admits nothing; in windows that begin later it has no share. */
  goneAt = Number.POSITIVE_INFINITY
  private told: Told[]

  constructor(id: number, now: number) {
    this.id = id
    this.told = [{ processes: 0, toldAt: now, from: now }]
  }

  tell(processes: number, now: number): void {
    this.told.push({ processes, toldAt: now, from: Number.POSITIVE_INFINITY })
  }

  /** It has answered the first that it had not answered yet. */
  confirm(from: number): void {
    const told = this.told.find((one) => one.from === Number.POSITIVE_INFINITY)
    if (told) told.from = from
  }

  /** The part of each limit that it was told last. */
  get lastPart(): number {
    return partOf(this.told.at(-1)!)
  }

  /** The largest part that it may still take for its own in windows to come. */
  get largestPart(): number {
    return Math.max(...this.possible(Number.POSITIVE_INFINITY).map(partOf))
  }

  /** How many it may admit of each client in a window that began at this moment, at most. */
  shareIn(begin: number, max: number): number {
    if (begin > this.goneAt + clockErrorMs) return 0
    return Math.max(0, ...this.possible(begin).map(({ processes }) => shareOf(max, processes)))
  }

  /** Keeps only what may hold in windows that began at these moments, or will begin. */
  forget(begins: number[]): void {
    const kept = new Set([...begins, Number.POSITIVE_INFINITY].flatMap((begin) => this.possible(begin)))
    this.told = this.told.filter((one) => kept.has(one))
  }

  /** What may hold in a window that began at this moment: what was confirmed last before it, and all that is not confirmed. */
  private possible(begin: number): Told[] {
    const told = this.told.filter(({ toldAt }) => toldAt <= begin + clockErrorMs)
    const sure = told.findLastIndex(({ from }) => from + clockErrorMs < begin)
    return told.slice(Math.max(0, sure))
  }
}

const partOf = ({ processes }: Told): number => (processes > 0 ? 1 / processes : 0)
