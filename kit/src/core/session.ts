/** What handlers see of a person's session. */
import type { SessionData } from "./declared.ts"

/**
 * The data of a session, saved key by key: two requests that write different keys at once lose nothing, and nothing is read
 * that is not asked for. Visitors have none, and nothing is stored for them.
 */
export interface RequestSession {
  readonly id: string
  get<Key extends keyof SessionData>(key: Key): Promise<SessionData[Key] | undefined>
  /** @param value anything that JSON can say; undefined removes it */
  set<Key extends keyof SessionData>(key: Key, value: SessionData[Key] | undefined): Promise<void>
  /** Ends the session: the caller is logged out. */
  destroy(): Promise<void>
}
