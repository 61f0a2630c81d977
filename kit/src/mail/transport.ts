/** The way that mails go: through a server or into a folder. */
import type { ComposedMail } from "./compose.ts"

export interface Transport {
  /**
   * Hands a mail over; when it returns, it is somebody else's to keep.
   * @throws MailFailure
   */
  send(mail: ComposedMail, signal?: AbortSignal): Promise<void>
}
