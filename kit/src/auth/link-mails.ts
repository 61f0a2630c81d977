/**
 * The mails of accounts: links that prove an address, and notes of what was asked for. An application has its own words for any
 * of them: a template of the same name among `defineApp({ mails })`.
 */
import { html } from "../core/html.ts"
import { type Static, Type } from "../core/schema.ts"
import type { Mail } from "../mail/mail.ts"
import { type MailTemplate, type MailTemplateInput, mailTemplate } from "../mail/template.ts"
import type { AccountRow } from "./accounts.ts"

/** What each of them is told. */
export const AccountMail = Type.Object({
  /** The first name of the account's owner; empty as long as nobody has shown that the address is theirs. */
  name: Type.String(),
  /** The address that it is about: of a change the new one. */
  email: Type.String(),
  /** Where its link leads, to be made whole by `link(path)`. */
  path: Type.String(),
})

interface Words {
  subject: string
  /** What happened, above the link. */
  about: (data: Static<typeof AccountMail>) => string
  /** What the link says. */
  link: string
  /** What to know besides. */
  note: string
}

const notYou = "If it was not you, do nothing: only this mail opens it."
/** Whoever verifies their address for an account that somebody else made lets that one have it. */
const notYours = "If it is not your account, do nothing: somebody else gave your address."

export const accountMails = {
  reset: accountMail("trestle.reset-password", {
    subject: "Choose a new password",
    about: () => "Somebody, probably you, wants to choose a new password for your account.",
    link: "Choose a new password",
    note: `The link works once, within an hour. ${notYou}`,
  }),
  verify: accountMail("trestle.verify-email", {
    subject: "Verify your e-mail address",
    about: ({ email }) =>
      `An account was made with the e-mail address ${email}. If it is your account, verify the address.`,
    link: "Verify the address",
    note: `The link works once, within an hour. ${notYours}`,
  }),
  change: accountMail("trestle.change-email", {
    subject: "Verify your new e-mail address",
    about: ({ email }) =>
      `An account is to have the e-mail address ${email} from now on. If it is your account, verify the address.`,
    link: "Verify the new address",
    note: `The link works once, within an hour. ${notYours}`,
  }),
  changing: accountMail("trestle.email-changing", {
    subject: "Your e-mail address is about to change",
    about: ({ email }) =>
      `Somebody, probably you, wants your account to have the e-mail address ${email}. It changes as soon as the link is followed that we sent there.`,
    link: "Choose a new password",
    note: "If it was not you, choose a new password at once: that stops the change and logs everybody else out.",
  }),
  taken: accountMail("trestle.email-taken", {
    subject: "You have an account already",
    about: ({ email }) =>
      `Somebody, probably you, wanted to make or change an account with the e-mail address ${email}. There is one with it already.`,
    link: "Choose a new password",
    note: "If you know the password, log in as usual. If it was not you, do nothing: nothing has changed.",
  }),
} satisfies Record<string, MailTemplate<typeof AccountMail>>

/** The mail in the words of the application, or in ours. */
export const wordsOf = ({ templates }: Pick<Mail, "templates">, mail: keyof typeof accountMails) =>
  (templates.get(accountMails[mail].name) ?? accountMails[mail]) as MailTemplate<typeof AccountMail>

/**
 * The name to greet an account's owner by. None before the address is verified: whoever made the account chose the name, and
 * could have others read it in our mail.
 */
export const greeted = ({ first_name, verified }: Pick<AccountRow, "first_name" | "verified">): string =>
  verified === null ? "" : first_name.replace(/\s+/g, " ")

/** What tells an address that it has an account. */
export const takenMail = (mail: Pick<Mail, "templates">, owner: AccountRow) => ({
  template: wordsOf(mail, "taken"),
  data: { name: greeted(owner), email: owner.email, path: "/auth/forgot" },
})

function accountMail(name: string, words: Words): MailTemplate<typeof AccountMail> {
  return mailTemplate(name, { data: AccountMail }, (input) => contentOf(words, input))
}

function contentOf(words: Words, { data, link }: MailTemplateInput<Static<typeof AccountMail>>) {
  const hello = data.name ? `Hello ${data.name},` : "Hello,"
  const about = words.about(data)
  const target = link(data.path)
  return {
    subject: words.subject,
    text: `${hello}\n\n${about}\n\n${words.link}: ${target}\n\n${words.note}\n`,
    html: html`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<body style="margin: 0; padding: 24px; background: #f6f6f3; color: #1b1d20; font: 16px/1.5 sans-serif">
<div style="max-width: 32em; margin: 0 auto; padding: 24px; background: #ffffff; border: 1px solid #e3e3de; border-radius: 12px">
<p style="margin: 0 0 16px">${hello}
<p style="margin: 0 0 24px">${about}
<p style="margin: 0 0 24px"><a href="${target}" style="display: inline-block; padding: 10px 18px; border-radius: 10px; background: #1f4fbf; color: #ffffff; font-weight: 600; text-decoration: none">${words.link}</a>
<p style="margin: 0; color: #5c6168; font-size: 14px">${words.note}
</div>
</body>
</html>
`,
  }
}
