/** The settings of mail; see schema.ts for the rest. */
import { Type } from "typebox"
import { mailboxExpected, parseMailbox } from "../mailbox.ts"
import type { SettingOptions } from "./kinds.ts"

const MailboxOf = (options: SettingOptions) =>
  Type.Decode(Type.String({ expected: mailboxExpected, ...options }), parseMailbox)

const smtpExpected =
  'smtp:// or smtps:// with user, password, host and port, special characters escaped ("#" in a password is %23)'

/** Nothing else may stand in it: what seemed to ask for TLS, and did not, would be found out by nobody. */
function checkSmtpUrl(text: string): string {
  const url = URL.parse(text)
  const isPlain =
    url && /^smtps?:$/.test(url.protocol) && url.host && /^\/?$/.test(url.pathname + url.search + url.hash)
  if (!isPlain || !isEscaped(url.username + url.password)) throw new TypeError(smtpExpected)
  return text
}

function isEscaped(text: string): boolean {
  try {
    decodeURIComponent(text)
    return true
  } catch {
    return false
  }
}

export const mail = Type.Object(
  {
    smtp_url: Type.Optional(
      Type.Decode(
        Type.String({
          env: "SMTP_URL",
          secret: true,
          expected: smtpExpected,
          description:
            "The server that mail is sent through: `smtp://user:password@smtp.example.com:587`, by TLS as soon as the server offers it; `smtps://` begins with TLS. A password is sent by TLS only, but to this machine itself. Without it mails are files in `data/mail`.",
        }),
        checkSmtpUrl,
      ),
    ),
    from: Type.Optional(
      MailboxOf({
        description: "Whom mails are from, such as `Movies <movies@example.com>`. Needed with `mail.smtp_url`.",
      }),
    ),
    reply_to: Type.Optional(MailboxOf({ description: "Where answers go. Without it to `mail.from`." })),
  },
  { description: "Mail: [mail.md](mail.md)." },
)
