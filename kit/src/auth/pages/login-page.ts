/** The page on which people log in, and what it shows to those who are. */
import { type Html, html } from "../../core/html.ts"
import type { User } from "../../core/roles.ts"
import { type Field, fieldWith, rememberBox } from "./fields.ts"
import type { Form } from "./form-bodies.ts"
import type { Page } from "./page.ts"
import { type Problem, problemSummary } from "./problems.ts"

/** What the pages know of the server. */
export interface Surroundings {
  /** The name of the application. */
  app: string | undefined
  /** Whether people can sign up by themselves. */
  hasSignup: boolean
  /** Where people can sign in instead. */
  providers: readonly { id: string; name: string }[]
  /** A page that shows what can be done here; undefined where there is none. */
  docs: string | undefined
}

/** What a page with a form has besides. */
export interface FormState {
  /** Where to go afterwards. */
  next: string
  /** What was sent, when the form is shown again. */
  form?: Form
  problems?: readonly Problem[]
}

const fields: Field[] = [
  { name: "email", label: "E-mail address", type: "email", autocomplete: "username", maxLength: 254 },
  { name: "password", label: "Password", type: "password", autocomplete: "current-password", maxLength: 1024 },
]

/** What is said where the schema of the login refuses a field. */
export const loginWords = { email: "Write your e-mail address.", password: "Write your password." }

export function loginPage(here: Surroundings, { next, form, problems = [] }: FormState): Page {
  return {
    title: "Log in",
    app: here.app,
    hasProblem: problems.length > 0,
    body: html`${problemSummary(problems)}
<form method="post" action="/auth/login">
<input type="hidden" name="next" value="${next}">
${fields.map((field) => fieldWith(field, form ?? {}, problems))}
${rememberBox(form)}
<button>Log in</button>
</form>
<p class="other"><a href="/auth/forgot">Forgot your password?</a></p>
${signInLinks(here, next)}
${here.hasSignup && html`<p class="other">No account yet? <a href="${withNext("/auth/signup", next)}">Sign up</a></p>`}`,
  }
}

export function loggedInPage(here: Surroundings, { name, email }: User, next: string): Page {
  const place = next === "/" ? here.docs : next
  return {
    title: "You are logged in",
    app: here.app,
    body: html`<p class="who"><strong>${name || email}</strong>${name && html`<br><span>${email}</span>`}</p>
${place && html`<a class="button main" href="${place}">${next === "/" ? "Use the API" : "Go on"}</a>`}
<form method="post" action="/auth/logout"><button class="quiet">Log out</button></form>
${here.providers.length > 0 && html`<p class="or"><span>add a way to log in</span></p>`}
${providerLinks(here, "/auth/login")}`,
  }
}

/** Buttons that are links: a form could not lead to another server under our Content-Security-Policy. */
export const signInLinks = (here: Surroundings, next: string): Html | false =>
  here.providers.length > 0 && html`<p class="or"><span>or</span></p>${providerLinks(here, next)}`

const providerLinks = ({ providers }: Surroundings, next: string): Html[] =>
  providers.map(
    ({ id, name }) => html`<a class="button" href="${withNext(`/auth/sign-in/${id}`, next)}">Continue with ${name}</a>
`,
  )

/** A link that keeps where to go afterwards. */
export const withNext = (path: string, next: string): string =>
  next === "/" ? path : `${path}?next=${encodeURIComponent(next)}`
