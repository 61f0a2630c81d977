/** A mail to whoever calls, to see that mails arrive. It is not there in production. */
import { type Api, badRequest, Type } from "trestle"
import { welcome } from "../mails/welcome.ts"

export async function sendemail(api: Api) {
  if (api.mode === "production") return

  /** Sends a sample mail to the caller, by a job. */
  api.get(
    "/",
    { role: "readonly", schema: { response: { 202: Type.Object({ to: Type.String() }) } } },
    async ({ user: { email } }, reply) => {
      if (!email) throw badRequest("An API key has no mailbox. Log in as a person.")
      await api.mail.send({ to: email, template: welcome, data: { email } })
      return reply.code(202).send({ to: email })
    },
  )
}
