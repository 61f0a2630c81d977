/** What is wrong with a form, told above it and tied to its fields. */
import type { Fault, HttpError } from "../../core/errors.ts"
import { type Html, html } from "../../core/html.ts"

/** A sentence, and the field that it is about; none where it is about more than one. */
export interface Problem {
  message: string
  field?: string | undefined
}

/** Whether what an error says is meant for the client: what went wrong inside is not. */
export const isForPeople = (status: number): boolean => status < 500 || status === 503

/** What a handler threw: a problem of the fields that it names, or of the whole form. */
export function problemsOf({ message, errors = [] }: HttpError): Problem[] {
  return errors.length > 0 ? errors.map((fault) => ({ message: fault.message, field: fieldOf(fault) })) : [{ message }]
}

/** What the schema of a form refused, in the words that the form has for each of its fields. */
export function refusedFields(errors: readonly Fault[], words: Readonly<Record<string, string>>): Problem[] {
  const fields = new Set(errors.map(fieldOf))
  const known = Object.keys(words).filter((field) => fields.has(field))
  // Only what is not our form has others.
  if (known.length === 0) return [{ message: "This is not the form of this page. Fill it in again." }]
  return known.map((field) => ({ message: words[field]!, field }))
}

const fieldOf = ({ at }: Fault): string => at.replace(/^body\//, "")

/**
 * The summary of a form's problems. It takes the focus, so that readers of the screen hear it first, and leads to the fields.
 * Source: the error summary of the GOV.UK Design System.
 */
export const problemSummary = (problems: readonly Problem[]): Html | false =>
  problems.length > 0 &&
  html`<div class="problem" id="problem" role="alert" tabindex="-1" autofocus>${problems.map(({ message, field }) =>
    field ? html`<p id="problem-${field}"><a href="#${field}">${message}</a></p>` : html`<p>${message}</p>`,
  )}</div>`

/** The id of what describes the problem of a field, and whether it has one. */
export function describedBy(field: string, problems: readonly Problem[]): { id: string; isWrong: boolean } {
  if (problems.some((problem) => problem.field === field)) return { id: `problem-${field}`, isWrong: true }
  const isOfAll = problems.some((problem) => !problem.field)
  return { id: isOfAll ? "problem" : "", isWrong: isOfAll }
}
