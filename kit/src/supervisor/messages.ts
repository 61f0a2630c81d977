/** What a supervisor and its processes say to each other, over the channel that Node opens between them. */
import type { Config } from "../core/config/index.ts"
import type { LimitAnswer, LimitQuestion } from "../core/limit-messages.ts"
import type { DatabaseAddress } from "../db/database.ts"

/** The settings that the supervisor needs. It reads neither the application nor the configuration: its processes do. */
export interface Settings {
  app: string
  server: Pick<Config["server"], "host" | "port">
  workers: Config["workers"]
  database: Pick<Config["database"], "url" | "pool_size">
  logging: Config["logging"]
  /** The application's own programs, by name. */
  programs: Record<string, { command: string; args: string[] }>
  /** A path that everyone may GET. */
  sample: string
  /** How many there are of each kind. */
  processes: { web: number; job: number }
}

/** What a process tells of itself, twice a second. */
export interface Vitals {
  connections: number
  /** In flight; of a process that runs jobs those. */
  requests: number
  /** Answered since it began, or ended. */
  answered: number
  /** Resident, in bytes. */
  memory: number
  /** The longest wait of its event loop since the last time, in milliseconds. */
  delay: number
}

/** From a process to the supervisor. */
export type FromWorker =
  /** It has read the application and its settings, and waits for "begin". */
  | { type: "settings"; settings: Settings }
  /** It cannot begin, and ends. Final: it would not begin another time either, as with a wrong setting. */
  | { type: "failed"; reason: string; isFinal: boolean }
  /** The database is as it must be. Until now it may have taken as long as migrations take. */
  | { type: "migrated" }
  /** It can take connections: "listen" gives it the sockets. With what curl must be told to trust its certificate. */
  | { type: "prepared"; isTls: boolean; trust: string }
  /** It accepts connections. */
  | { type: "ready" }
  | { type: "vitals"; vitals: Vitals }
  /** It has accepted or closed connections. */
  | { type: "connections"; connections: number }
  /** It gave up its sockets to let others catch up, and wants them again. */
  | { type: "sockets" }
  /** It has had its requests or its time, and wants to be replaced. */
  | { type: "tired"; why: string }
  /** There are jobs that have to run alone. */
  | { type: "suspects" }
  /** It runs jobs alone, and there are no more. */
  | { type: "finished" }
  | { type: "limits"; question: LimitQuestion }

/** From the supervisor to a process. */
export type ToWorker =
  /** Where the database is, and what is to be done about migrations that are pending: the first process does it for all. */
  | { type: "begin"; address: DatabaseAddress; migrations: "apply" | "refuse" | "done"; windowsFrom: number }
  /** Comes with a socket to accept connections from; `of` of them in all. */
  | { type: "listen"; of: number }
  /** After the delay take no more connections, answer what is there, and end. Whatever is left after the limit is cut. */
  | { type: "drain"; delayMs: number; limitMs: number; hasSuccessor: boolean }
  /** Close so many connections after their next answer, and accept none until the next such message. */
  | { type: "shed"; connections: number }
  | { type: "limits"; answer: LimitAnswer }
