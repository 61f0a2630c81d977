/**
 * The job that sends a link. It is told an address and a purpose, the same whether there is an account or not; the token is made
 * here, so that it lies in no job.
 */
import { Id, Type } from "../core/schema.ts"
import { job } from "../jobs/define.ts"
import { endOlderLinks, makeLink, purposes } from "./account-links.ts"
import { accountByEmail } from "./accounts.ts"
import { greeted, takenMail, wordsOf } from "./link-mails.ts"

/** Tried for about an hour: later nobody waits for the mail any more. */
export const sendLink = job(
  "trestle.account-link",
  {
    data: Type.Object({
      purpose: Type.Enum([...purposes]),
      email: Type.String(),
      /** Of a change: whose address is to be another one. */
      account: Type.Optional(Id),
    }),
    retries: 8,
    retryDelay: "10 seconds",
    timeout: "5 minutes",
    expires: "3 hours",
    concurrency: 5,
    readable: "superuser",
  },
  async ({ id, data: { purpose, email, account: userId }, db, mail, signal }) => {
    const made = await makeLink(db, { purpose, email, userId, jobId: id })
    if (!made) return
    const { account, token } = made
    const owner = purpose === "change" ? await accountByEmail(db, email) : undefined
    const to = purpose === "change" ? email : account.email
    // The address has an account, so the link could not give it to another: that is told to the address, and to nobody else.
    if (owner) return mail.deliver({ to, ...takenMail(mail, owner) }, { id, signal })
    const path = `/auth/${purpose === "reset" ? "reset" : "verify"}?token=${token}`
    const name = purpose === "change" ? "" : greeted(account)
    await mail.deliver({ to, template: wordsOf(mail, purpose), data: { name, email: to, path } }, { id, signal })
    await endOlderLinks(db, token)
  },
)
