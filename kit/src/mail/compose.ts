/** Makes the bytes of a mail (RFC 5322), which are the same whichever way it goes. */
import MailComposer from "nodemailer/lib/mail-composer"
import { isMailAddress, type Mailbox } from "../core/mailbox.ts"
import type { MailContent } from "./template.ts"

/** A mail that can be sent. */
export interface ComposedMail {
  /** The id of the job that sends it. */
  id: string
  from: string
  to: string
  raw: Buffer
}

/** Who sends and who gets it. */
export interface Envelope {
  /** The id of the job that sends it: a mail that was sent twice bears the same Message-ID, and mail servers know it by that. */
  id: string
  from: Mailbox
  replyTo?: Mailbox | undefined
  to: string
}

/** @throws TypeError for what cannot be a mail */
export async function composeMail({ id, from, replyTo, to }: Envelope, content: MailContent): Promise<ComposedMail> {
  refuseAddress(to)
  if (!/^[\w-]{1,100}$/.test(id)) throw new TypeError("The id of a mail is that of its job.")
  const { subject, text, html } = content
  // An object here would be a file or a URL to nodemailer, whose content would be sent.
  for (const part of [subject, text]) if (typeof part !== "string") throw new TypeError("Subject and text are strings.")
  const composer = new MailComposer({
    from: asAddress(from),
    ...(replyTo && { replyTo: asAddress(replyTo) }),
    to: { name: "", address: to },
    subject: subject.replace(/\p{Cc}+/gu, " ").trim(),
    text,
    ...(html && { html: html.toString() }),
    messageId: `<${id}@${from.address.slice(from.address.indexOf("@") + 1)}>`,
    // Absence notes and their like are not sent in answer to it (RFC 3834).
    headers: { "Auto-Submitted": "auto-generated" },
    newline: "win",
    disableFileAccess: true,
    disableUrlAccess: true,
  })
  return { id, from: from.address, to, raw: await composer.compile().build() }
}

/** @throws TypeError for what is no address: line breaks in it would be headers of the sender's choice */
export function refuseAddress(to: string): void {
  if (typeof to !== "string" || !isMailAddress(to)) throw new TypeError("A mail goes to one plain e-mail address.")
}

const asAddress = ({ name = "", address }: Mailbox) => ({ name, address })
