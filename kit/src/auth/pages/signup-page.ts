/** The page on which people make an account. */
import type { Config } from "../../core/config/index.ts"
import { html } from "../../core/html.ts"
import { signedUp } from "../sign-up.ts"
import { type Field, fieldWith, rememberBox } from "./fields.ts"
import { type FormState, type Surroundings, signInLinks, withNext } from "./login-page.ts"
import type { Page } from "./page.ts"
import { problemSummary } from "./problems.ts"

export const newPasswordField = (minLength: number): Field => ({
  name: "password",
  label: "Password",
  type: "password",
  autocomplete: "new-password",
  maxLength: 128,
  minLength,
  hint: `At least ${minLength} characters. Several words are easy to remember.`,
})

const fieldsFor = (minLength: number): Field[] => [
  { name: "fname", label: "First name", type: "text", autocomplete: "given-name", maxLength: 100, isHalf: true },
  { name: "lname", label: "Last name", type: "text", autocomplete: "family-name", maxLength: 100, isHalf: true },
  { name: "email", label: "E-mail address", type: "email", autocomplete: "username", maxLength: 254 },
  { name: "company", label: "Company", type: "text", autocomplete: "organization", maxLength: 200, isOptional: true },
  newPasswordField(minLength),
]

/** What is said where the schema of the signup refuses a field. */
export const signupWords = {
  fname: "Write your first name, of 100 characters at most.",
  lname: "Write your last name, of 100 characters at most.",
  email: "Write your e-mail address, such as anna@example.com.",
  company: "Write the company in 200 characters at most.",
  password: "Choose a password.",
}

export function signupPage(
  here: Surroundings,
  { next, form, problems = [] }: FormState,
  passwordMinLength: number,
): Page {
  return {
    title: "Sign up",
    app: here.app,
    hasProblem: problems.length > 0,
    body: html`${problemSummary(problems)}
<form method="post" action="/auth/signup">
<input type="hidden" name="next" value="${next}">
${fieldsFor(passwordMinLength).map((field) => fieldWith(field, form ?? {}, problems))}
${rememberBox(form)}
<button>Sign up</button>
</form>
${signInLinks(here, next)}
<p class="other">You have an account? <a href="${withNext("/auth/login", next)}">Log in</a></p>`,
  }
}

/** Where nobody is logged in by it; the same whether the address was free or not, where that is not revealed. */
export const signedUpPage = (here: Surroundings, next: string, settings: Config["accounts"]): Page => ({
  title: settings.verify_email === "required" ? "Look into your mail" : "Now log in",
  app: here.app,
  body: html`<p>${signedUp(settings)}</p>
<a class="button" href="${withNext("/auth/login", next)}">Log in</a>`,
})
