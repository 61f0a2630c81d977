/**
 * Sessions of people. A token of 256 random bits is all that the client has; what is kept is its SHA-256, which tells nobody
 * the token. They are kept in PostgreSQL, or in Redis where there is one: one contract, one suite of tests for both.
 */
import { randomBytes } from "node:crypto"

export interface Session {
  /** uuid, by which its owner can see and end it; not a secret. */
  id: string
  userId: string
  /** Whether its token is in a cookie, or was handed out to be sent as `Authorization: Bearer`. */
  kind: "cookie" | "token"
  /** Whether it outlives the browser. */
  remember: boolean
  /** The account's count of changed rights when the token was made. */
  rights: number
  /** Moments are ISO 8601, UTC. */
  created: string
  /** When its owner last showed a password, or logged in elsewhere. */
  authenticated: string
  renewed: string
  expires: string
  /** Where the login came from. */
  address: string
  /** The User-Agent of the login. */
  agent: string
}

/** Where sessions are kept. Who ends one tells the other processes, with `announce`. */
export interface Sessions {
  add(session: Session, hash: Buffer): Promise<void>
  /** By the hash of its token, or for some seconds of the former one. */
  find(hash: Buffer): Promise<{ session: Session; isFormer: boolean } | undefined>
  /** All of an account, newest first. */
  list(userId: string): Promise<Session[]>
  renew(session: Session, renewed: Date, expires: Date): Promise<void>
  /** Gives it another token, if it still has the first one: of two requests only one changes it. */
  rotate(session: Session, change: Rotation): Promise<boolean>
  /** Ends one of an account; false when it has none with this id. */
  end(userId: string, id: string): Promise<boolean>
  /** Ends all of an account, but one. */
  endAll(userId: string, exceptId?: string): Promise<void>
  /** Ends all of an account but so many, those that were used longest ago first; returns the ids of what ended. */
  keep(userId: string, atMost: number): Promise<string[]>
  /** Data of the application, saved key by key, so that two writers lose nothing. */
  read(id: string, key: string): Promise<unknown>
  write(id: string, key: string, value: unknown): Promise<void>
  remove(id: string, key: string): Promise<void>
  /** Removes what has expired. */
  sweep(): Promise<void>
}

/** A change of a session's token. */
export interface Rotation {
  /** The hash of the token that it has. */
  from: Buffer
  /** The hash of the one that it gets. */
  to: Buffer
  rights: number
  authenticated: string
  /** Whether the former token works for a moment longer: not after a new password, since it may be in other hands. */
  keepsFormer: boolean
}

/** How long the token before the last rotation still works: requests that were sent with it are under way. */
export const formerTokenMs = 30_000

/** How long a session lives; durations in milliseconds. */
export interface Lifetime {
  idle: number
  absolute?: number | undefined
}

export const newToken = (): string => randomBytes(32).toString("base64url")

/** When a session that began at `created` ends if it is used now. */
export function expiryOf(created: number, now: number, { idle, absolute }: Lifetime): Date {
  return new Date(absolute === undefined ? now + idle : Math.min(now + idle, created + absolute))
}

/** Whether so much of the idle time is used up that a write is worth it: a twentieth. */
export const isDueForRenewal = ({ renewed }: Session, now: number, { idle }: Lifetime): boolean =>
  now - Date.parse(renewed) > idle / 20
