/** Reads the bodies of HTML forms, for the pages of this folder only: nothing else here takes what a page can send unasked. */
import { isUtf8 } from "node:buffer"
import type { FastifyInstance, FastifyRequest } from "fastify"
import { badRequest } from "../../core/errors.ts"

/** Our longest form has 3,000 characters, each of 12 bytes when it is encoded. */
const bodyLimit = 40_000

/** What a form said, by the names of its fields. Fields may be missing: a schema is not what shows a form again. */
export type Form = Readonly<Record<string, string | undefined>>

/** In this scope bodies are forms, and nothing else: JSON is 415. */
export function readFormBodies(api: FastifyInstance): void {
  api.removeAllContentTypeParsers()
  api.addContentTypeParser(
    /^application\/x-www-form-urlencoded\s*(;|$)/i,
    { parseAs: "buffer", bodyLimit },
    (_request, body, done) => {
      try {
        done(null, parseForm(body as Buffer))
      } catch (error) {
        done(error as Error)
      }
    },
  )
}

/** The form that came; an empty one for a request without. */
export const formOf = ({ body }: FastifyRequest): Form => (body ?? {}) as Form

function parseForm(body: Buffer): Form {
  const form = new Map<string, string>()
  if (!isUtf8(body)) throw badRequest("The form is not UTF-8.")
  for (const [name, value] of new URLSearchParams(body.toString())) {
    if (form.has(name)) throw badRequest("The form has a field twice.")
    // PostgreSQL's text cannot hold it.
    if (value.includes("\0")) throw badRequest("The form has a NUL character.")
    form.set(name, value)
  }
  // fromEntries defines; an assignment to "__proto__" would change the prototype.
  return Object.fromEntries(form)
}
