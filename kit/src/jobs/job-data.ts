/** Checks what a job is told, when it is sent and again when it is run: what lies in the database may be of another version. */
import { Compile, type Validator } from "typebox/compile"
import type { AnyJob } from "./job.ts"

const validators = new WeakMap<AnyJob, Validator>()

/** In JSON: the character NUL, and half of a pair that one character is made of. PostgreSQL refuses both. */
const refused = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/

/** What is wrong with data that is to be sent, in a line; undefined when nothing is. */
export function faultsOfSent(job: AnyJob, data: unknown): string | undefined {
  const faults = faultsOf(job, data)
  if (faults || !refused.test(JSON.stringify(data))) return faults
  return "a text in it has the character NUL or half of a character, which PostgreSQL does not keep"
}

/** A text as PostgreSQL keeps it, cut to so many characters. */
export const storable = (text: string, longest: number): string =>
  text.slice(0, longest).replaceAll("\0", "").toWellFormed()

/** What is wrong with the data, in a line; undefined when nothing is. */
export function faultsOf(job: AnyJob, data: unknown): string | undefined {
  const validator = validators.get(job) ?? Compile(job.data)
  validators.set(job, validator)
  if (validator.Check(data)) return undefined
  return validator
    .Errors(data)
    .map(({ instancePath, message }) => `${instancePath || "/"} ${message}`)
    .join("; ")
}
