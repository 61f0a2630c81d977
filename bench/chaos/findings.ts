/** What a promise turned out to be worth. */
import type { Project } from "./site.ts"

/** A promise with its figure, and whether that keeps it; or why it cannot be shown on this machine. */
export type Finding =
  | { promise: string; figure: string; isKept: boolean }
  | { promise: string; figure?: undefined; notShown: string }

/** What a promise is put to the test with. */
export interface Chaos {
  project: Project
  /** The form that takes seconds, but for two minutes of a cron. */
  isShort: boolean
}

/** Puts promises to the test, and tells of each as soon as it is known. */
export type Trial = (chaos: Chaos) => AsyncIterable<Finding>

/** `"1 reload"`, `"20 reloads"`, `"210,629 requests"`. */
export const count = (number: number, noun: string): string =>
  `${number.toLocaleString("en")} ${number === 1 ? noun : `${noun}s`}`

export const seconds = (ms: number): string => `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 0)} s`
