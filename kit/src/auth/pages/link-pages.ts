/** The pages of forgotten passwords, and those that links in mails lead to. */
import { html } from "../../core/html.ts"
import type { Linked } from "../account-links.ts"
import { resetAsked } from "../password-reset.ts"
import { fieldWith } from "./fields.ts"
import type { FormState, Surroundings } from "./login-page.ts"
import type { Page } from "./page.ts"
import { problemSummary } from "./problems.ts"
import { newPasswordField } from "./signup-page.ts"

/** What is said where the schema of a form refuses a field. */
export const forgotWords = { email: "Write your e-mail address, such as anna@example.com." }
export const resetWords = { password: "Choose a password." }

export function forgotPage(here: Surroundings, { form, problems = [] }: FormState): Page {
  return {
    title: "Forgot your password?",
    app: here.app,
    hasProblem: problems.length > 0,
    body: html`${problemSummary(problems)}
<p>We send you a link to choose a new one.</p>
<form method="post" action="/auth/forgot">
${fieldWith({ name: "email", label: "E-mail address", type: "email", autocomplete: "username", maxLength: 254 }, form ?? {}, problems)}
<button>Send the link</button>
</form>
<p class="other"><a href="/auth/login">Back to the login</a></p>`,
  }
}

/** The same whether the address has an account or not. */
export const askedPage = (here: Surroundings): Page => ({
  title: "Look into your mail",
  app: here.app,
  body: html`<p>${resetAsked}</p>
<a class="button" href="/auth/login">Back to the login</a>`,
})

/** @param token of the link: whoever sees this page followed it */
export function resetPage(
  here: Surroundings,
  { token, email, minLength }: { token: string; email: string; minLength: number },
  { problems = [] }: Pick<FormState, "problems">,
): Page {
  return {
    title: "Choose a new password",
    app: here.app,
    hasProblem: problems.length > 0,
    body: html`${problemSummary(problems)}
<form method="post" action="/auth/reset">
<input type="hidden" name="token" value="${token}">
<p>For the account of <strong>${email}</strong>. All devices are logged out.</p>
<input type="email" name="email" value="${email}" autocomplete="username" hidden>
${fieldWith({ ...newPasswordField(minLength), label: "New password" }, {}, problems)}
<button>Change the password</button>
</form>`,
  }
}

export const resetDonePage = (here: Surroundings): Page => ({
  title: "The password is changed",
  app: here.app,
  body: html`<p>Log in with the new one.</p>
<a class="button main" href="/auth/login">Log in</a>`,
})

/**
 * A form, since mail programs open links to see what is behind them: only a person sends it. It asks whose the account is, not
 * only whose the address: who made one with somebody else's address would have it verified by its owner.
 */
export const verifyPage = (here: Surroundings, token: string, { email, purpose }: Linked): Page => ({
  title: "Verify your e-mail address",
  app: here.app,
  body: html`<form method="post" action="/auth/verify">
<input type="hidden" name="token" value="${token}">
<p>An account here ${purpose === "change" ? "is to have" : "was made with"} the address <strong>${email}</strong>. Is it your account?</p>
<button>Yes, it is mine</button>
</form>
<p class="other">If it is not, close this page: somebody else gave your address.</p>`,
})

export const verifiedPage = (here: Surroundings): Page => ({
  title: "The address is verified",
  app: here.app,
  body: html`<a class="button main" href="/auth/login">Go on</a>`,
})

/** @param again where another link can be asked for */
export const deadLinkPage = (here: Surroundings, message: string, again: { path: string; label: string }): Page => ({
  title: "This link does not count",
  app: here.app,
  hasProblem: true,
  body: html`<p>${message}</p>
<a class="button" href="${again.path}">${again.label}</a>`,
})
