/** Sends mails through an SMTP server, by nodemailer: a connection for each, so that none is left open and half dead. */
import { createTransport, type SMTPTransportOptions } from "nodemailer"
import { isLoopback } from "../core/loopback.ts"
import type { ComposedMail } from "./compose.ts"
import { MailFailure } from "./failure.ts"
import type { Transport } from "./transport.ts"

/** Milliseconds. A server may think about a mail for minutes (RFC 5321, section 4.5.3.2), but says something meanwhile or is gone. */
const timeouts = { dnsTimeout: 10_000, connectionTimeout: 10_000, greetingTimeout: 30_000, socketTimeout: 60_000 }

/** What nodemailer is told of a mail server. @param url `smtp://` or `smtps://`, as the settings have checked it */
export function smtpOptions(url: string) {
  const { protocol, hostname, port, username, password } = new URL(url)
  const isLocal = isLoopback(hostname)
  const auth = { user: decodeURIComponent(username), pass: decodeURIComponent(password) }
  const hasAuth = username !== ""
  return {
    host: hostname.replace(/^\[|\]$/g, ""),
    port: port === "" ? undefined : Number(port),
    secure: protocol === "smtps:",
    // Whoever stands in between could take the offer of TLS out of the answer, and read the password.
    requireTLS: hasAuth && !isLocal,
    // What stays on this machine needs no certificate; the usual mail server of Debian has one that it signed itself.
    tls: { rejectUnauthorized: !isLocal },
    ...(hasAuth && { auth, forceAuth: true }),
    ...timeouts,
  } satisfies SMTPTransportOptions
}

export function smtpTransport(url: string): Transport {
  const options = smtpOptions(url)
  const transport = createTransport(options)
  const { host, port = options.secure ? 465 : 587, auth } = options
  return {
    async send({ from, to, raw }: ComposedMail, signal) {
      try {
        await transport.sendMail({ envelope: { from, to }, raw, ...(signal && { signal }) })
      } catch (error) {
        throw failureOf(error as SmtpError, `${host}:${port}`, auth)
      }
    },
  }
}

interface SmtpError extends Error {
  /** What the server was told, as in "RCPT TO". */
  command?: string
  /** What it answered, as in 550. */
  responseCode?: number
}

/** Answers that ask for a login or for TLS. */
const wantsLogin = [530, 534, 535, 538]

/** What went wrong, without what we or the server said of the password: errors are kept with the job, and logged. */
function failureOf(error: SmtpError, where: string, auth: Credentials | undefined): MailFailure {
  const { message, command = "", responseCode = 0 } = error
  const said = withoutSecrets(message, auth).replace(/\s+/g, " ").slice(0, 300)
  // Of this mail and its recipient; what is wrong with the sender or the login can be put right while it waits.
  const isOfMail = ["RCPT TO", "DATA"].includes(command) && !wantsLogin.includes(responseCode)
  return new MailFailure(`The mail server ${where} did not take it: ${said}`, {
    isFinal: isOfMail && responseCode >= 500,
  })
}

interface Credentials {
  user: string
  pass: string
}

function withoutSecrets(text: string, auth: Credentials | undefined): string {
  if (!auth) return text
  const base64 = (value: string) => Buffer.from(value).toString("base64")
  const secrets = [`\0${auth.user}\0${auth.pass}`, auth.user, auth.pass].flatMap((it) => [base64(it), it])
  return secrets.filter(Boolean).reduce((shown, secret) => shown.replaceAll(secret, "***"), text)
}
