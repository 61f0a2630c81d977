/** The job that sends a mail. */
import { Type } from "typebox"
import { job } from "../jobs/define.ts"

/** Tried for about a day, as long as a mail server may well be away. */
export const sendMail = job(
  "trestle.mail",
  {
    data: Type.Object({ to: Type.String(), template: Type.String(), data: Type.Record(Type.String(), Type.Unknown()) }),
    retries: 30,
    retryDelay: "30 seconds",
    timeout: "5 minutes",
    concurrency: 5,
    readable: "superuser",
  },
  async ({ id, data: { to, template: name, data }, mail, signal }) => {
    const template = mail.templates.get(name)
    if (!template) throw new Error(`This version has no mail "${name}" among defineApp({ mails }).`)
    await mail.deliver({ to, template, data }, { id, signal })
  },
)
