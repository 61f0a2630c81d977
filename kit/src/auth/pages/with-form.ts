/** What all forms have in common: what is done with one, and how it is shown again. */
import type { FastifyReply, FastifyRequest } from "fastify"
import { HttpError } from "../../core/errors.ts"
import { type Form, formOf } from "./form-bodies.ts"
import type { FormState } from "./login-page.ts"
import { nextPath } from "./next-path.ts"
import { type Page, sendPage } from "./page.ts"
import { isForPeople, problemsOf, refusedFields } from "./problems.ts"

/**
 * Does what a form is for, and goes on to where it says, or shows the page that comes of it. What the client can put right is
 * shown with the form, as it was filled in but for the password.
 */
export async function withForm(
  request: FastifyRequest,
  reply: FastifyReply,
  words: Readonly<Record<string, string>>,
  show: (state: FormState) => Page,
  act: (form: Form, next: string) => Promise<Page | undefined>,
): Promise<FastifyReply> {
  const form = formOf(request)
  const next = nextPath(form.next)
  const refused = request.validationError as Error | undefined
  try {
    if (refused) throw refused
    const result = await act(form, next)
    if (result) return sendPage(reply, 200, result)
    return reply.header("cache-control", "no-store").redirect(next, 303)
  } catch (error) {
    if (!(error instanceof HttpError) || !isForPeople(error.statusCode)) throw error
    const problems = error === refused ? refusedFields(error.errors ?? [], words) : problemsOf(error)
    return sendPage(reply.headers(error.headers ?? {}), error.statusCode, show({ next, form, problems }))
  }
}
