/** Mail as handlers see it: `api.mail` in routes, `mail` in jobs. */
import type { Static, TObject } from "typebox"
import type { Config } from "../core/config/index.ts"
import { publicUrl } from "../core/server-url.ts"
import { didYouMean } from "../core/suggest.ts"
import type { Jobs, SendOptions } from "../jobs/job.ts"
import { composeMail, refuseAddress } from "./compose.ts"
import { MailFolder } from "./mail-folder.ts"
import { sendMail } from "./mail-job.ts"
import { senderOf } from "./settings.ts"
import { type AnyMailTemplate, dataFault, type MailTemplate } from "./template.ts"
import type { Transport } from "./transport.ts"

declare module "../jobs/job.ts" {
  interface JobContext {
    mail: Mail
  }
}

/** A mail to one person. */
export interface OutgoingMail<S extends TObject> {
  /** One plain address: `anna@example.com`. */
  to: string
  /** One of `defineApp({ mails })`. */
  template: MailTemplate<S>
  /** It lies in the database until the mail is sent, and some days longer: no secrets. */
  data: Static<S>
}

export interface Mail {
  /**
   * Sends a mail, by a job: with `tx` it is committed with what it tells of, and a mail server that is away delays it. Returns the
   * job's id.
   * @throws TypeError for an address that is none, for data that the template does not take, and for a template that is not listed
   * @example await mail.send({ to: email, template: welcome, data: { email }, tx })
   */
  send<S extends TObject>(mail: OutgoingMail<S> & Pick<SendOptions, "tx" | "delay">): Promise<string>
  /**
   * Sends a mail now, in a job of yours, which is how a mail says what must not lie in the database: the job makes the secret, keeps
   * its hash and sends it. Called again with the same `id` it is the same mail to mail servers, by its Message-ID.
   * @param run the job: `mail.deliver({ to, template, data }, run)`
   * @throws MailFailure, on which the job is tried again
   */
  deliver<S extends TObject>(mail: OutgoingMail<S>, run: { id: string; signal?: AbortSignal }): Promise<void>
  /** The folder that mails go to, where they go to one. */
  readonly folder: MailFolder | undefined
  /** What can be sent, by name. */
  readonly templates: ReadonlyMap<string, AnyMailTemplate>
}

export interface MailParts {
  config: Config
  /** The name of the application. */
  app: string | undefined
  templates: ReadonlyMap<string, AnyMailTemplate>
  transport: Transport
  jobs: Jobs
}

export function createMail({ config, app, templates, transport, jobs }: MailParts): Mail {
  const from = senderOf(config.mail, app)
  const base = new URL(publicUrl(config)).origin
  const link = (path: string) => {
    const url = URL.parse(path, base)
    if (url?.origin === base) return url.href
    throw new TypeError(`A link of a mail is to a path of this server, not to ${JSON.stringify(path)}.`)
  }

  function check({ to, template, data }: OutgoingMail<TObject>): void {
    refuseAddress(to)
    if (templates.get(template.name) !== template) {
      throw new TypeError(
        `The mail "${template.name}" is not in defineApp({ mails }). Add it there.${didYouMean(template.name, [...templates.keys()])}`,
      )
    }
    const fault = dataFault(template, data)
    if (fault) throw new TypeError(fault)
  }

  return {
    templates,
    folder: transport instanceof MailFolder ? transport : undefined,
    async send({ tx, delay, ...mail }) {
      check(mail as never)
      const { to, template, data } = mail
      return jobs.send(sendMail, { to, template: template.name, data }, { ...(tx && { tx }), ...(delay && { delay }) })
    },
    async deliver(mail, { id, signal }) {
      check(mail as never)
      const { to, template, data } = mail
      const content = template.render({ data, config, link })
      const composed = await composeMail({ id, from, replyTo: config.mail.reply_to, to }, content)
      await transport.send(composed, signal)
    },
  }
}
