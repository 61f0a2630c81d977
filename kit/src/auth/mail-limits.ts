/** How many mails may be asked for: nobody's mailbox is to be filled by way of this server. Counted like wrong passwords. */
import type { Db } from "../db/database.ts"
import { createLoginLimits } from "./login-limits.ts"

/** A mail that somebody asks for. */
export interface WantedMail {
  /** Each is counted apart, so that what strangers may ask for does not use up what only the owner may. */
  what: "reset" | "verify" | "change" | "changing" | "signup"
  to: string
  /** Who asks, as in `request.ip`. */
  from: string
}

export interface MailLimits {
  /** Counts a mail before it is sent. @throws HttpError 429 */
  begin(mail: WantedMail): Promise<void>
  /** It is not sent, and counts no more. */
  takeBack(mail: WantedMail): Promise<void>
}

/**
 * Of one kind to one address 5 in an hour, whoever asks: the link in the last of them works, so that nobody who asks for more keeps
 * its owner out. From one client 50, to whatever addresses.
 */
export function createMailLimits(db: Db): MailLimits {
  const limits = createLoginLimits(db, {
    counts: "mail",
    refusal: "Too many mails were asked for.",
    windowMs: 60 * 60_000,
    perAccountAndAddress: 5,
    perAccount: 5,
    perAddress: 50,
  })
  const attempt = ({ what, to, from }: WantedMail) => ({ account: `${what} ${to}`, address: from })
  return {
    begin: (mail) => limits.begin(attempt(mail)),
    takeBack: (mail) => limits.takeBack(attempt(mail)),
  }
}
