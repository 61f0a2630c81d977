/** Checks what a job is told, when it is sent and again when it is run: what lies in the database may be of another version. */
import { Compile, type Validator } from "typebox/compile"
import type { AnyJob } from "./job.ts"

const validators = new WeakMap<AnyJob, Validator>()

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
