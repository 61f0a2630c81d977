/** What the settings say of mail, and what they lack. */
import { join } from "node:path"
import type { Config } from "../core/config/index.ts"
import { BootError } from "../core/errors.ts"
import type { Log } from "../core/log.ts"
import type { Mailbox } from "../core/mailbox.ts"
import type { Mode } from "../core/mode.ts"
import { MailFolder } from "./mail-folder.ts"
import { smtpTransport } from "./smtp.ts"
import type { Transport } from "./transport.ts"

/** The way that the settings name. @param folder the project's */
export function transportOf({ mail, server }: Config, mode: Mode, folder: string): Transport {
  const { smtp_url, from } = mail
  if (smtp_url === undefined) return new MailFolder(join(folder, "data", "mail"))
  const faults = []
  if (!from) faults.push("mail.from is missing. Set MAIL_FROM, since mail.smtp_url is set.")
  if (!server.public_url && mode === "production") {
    faults.push("server.public_url is missing. Set PUBLIC_URL, which the links in mails begin with.")
  }
  if (faults.length > 0) throw new BootError(`No mail could be sent:\n${faults.map((it) => `  - ${it}`).join("\n")}`)
  return smtpTransport(smtp_url)
}

/** Says at a start where mails go that go nowhere. */
export function warnOfNoMailServer({ mail }: Config, log: Log): void {
  if (mail.smtp_url !== undefined) return
  log
    .for("mail")
    .warn("Mails are not sent but written to data/mail. Set SMTP_URL, MAIL_FROM and PUBLIC_URL to send them.")
}

/** Whom mails are from. Without a setting nobody outside gets any. */
export const senderOf = ({ from }: Config["mail"], app = "app"): Mailbox => from ?? { address: `${app}@localhost` }
