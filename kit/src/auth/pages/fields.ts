/** The fields of our forms, each with its label. */
import { type Html, html } from "../../core/html.ts"
import type { Form } from "./form-bodies.ts"
import { describedBy, type Problem } from "./problems.ts"

export interface Field {
  name: string
  label: string
  type: "email" | "password" | "text"
  /** By it browsers and password managers know what to fill in (HTML, section 4.10.18.7). */
  autocomplete: string
  maxLength: number
  minLength?: number
  hint?: string
  isOptional?: boolean
  /** Whether another field stands beside it, where there is room. */
  isHalf?: boolean
}

/** A field with what was written into it before; a password never comes back. */
export function fieldWith(field: Field, form: Form, problems: readonly Problem[]): Html {
  const { name, label, hint } = field
  return html`<div class="field${field.isHalf && " half"}">
<label for="${name}">${label}${field.isOptional && html` <small>(optional)</small>`}</label>
${inputOf(field, field.type === "password" ? "" : form[name], problems)}
${hint && html`<p class="hint" id="hint-${name}">${hint}</p>`}
</div>
`
}

function inputOf(field: Field, value: string | undefined, problems: readonly Problem[]): Html {
  const { name, type, autocomplete, maxLength, minLength = 0, hint, isOptional } = field
  const { id, isWrong } = describedBy(name, problems)
  const description = [hint && `hint-${name}`, id].filter(Boolean).join(" ")
  const invalid = isWrong ? "true" : "false"
  const capitals = type === "text" ? "words" : "none"
  if (isOptional) {
    return html`<input id="${name}" name="${name}" type="${type}" value="${value}" autocomplete="${autocomplete}" maxlength="${maxLength}" aria-invalid="${invalid}" aria-describedby="${description}">`
  }
  return html`<input id="${name}" name="${name}" type="${type}" value="${value}" autocomplete="${autocomplete}" minlength="${minLength}" maxlength="${maxLength}" autocapitalize="${capitals}" spellcheck="false" aria-invalid="${invalid}" aria-describedby="${description}" required>`
}

/** The box that is ticked to stay logged in; a form that was not sent yet has it ticked, as the API does. */
export function rememberBox(form: Form | undefined): Html {
  const box =
    !form || form.remember !== undefined
      ? html`<input type="checkbox" name="remember" value="on" checked>`
      : html`<input type="checkbox" name="remember" value="on">`
  return html`<label class="check">${box} Keep me logged in on this device</label>`
}
