/**
 * What a mail says, as an application writes it: a function of its data. A job holds the name and the data only; the mail is made
 * when it is sent.
 */
import type { Static, TObject } from "typebox"
import { Value } from "typebox/value"
import type { Config } from "../core/config/index.ts"
import { BootError } from "../core/errors.ts"
import type { Html } from "../core/html.ts"

/** What a mail says. */
export interface MailContent {
  /** Control characters in it, such as line breaks, become spaces. */
  subject: string
  /** What is read where HTML is not: always there, and the whole of a mail that has no HTML. */
  text: string
  /** Made with `html`, which escapes what it is given. Mail programs take styles from `style="…"` only. */
  html?: Html
}

/** What a template is given. */
export interface MailTemplateInput<T> {
  data: T
  config: Config
  /** A path of this server as a link: `link("/movies/1")` begins with `server.public_url`. */
  link(path: string): string
}

export interface MailTemplate<S extends TObject = TObject> {
  readonly name: string
  readonly data: S
  readonly render: (input: MailTemplateInput<Static<S>>) => MailContent
}

// biome-ignore lint/suspicious/noExplicitAny: a list holds templates of all kinds of data, and each takes only its own.
export type AnyMailTemplate = MailTemplate<any>

/** A dot marks the kit's own. */
const namePattern = /^(trestle\.)?[a-z][a-z0-9-]{0,99}$/

/**
 * Defines a mail: a name that stays, since it is kept with what waits to be sent, what it is told, and what it says.
 * @throws BootError when it cannot be
 * @example
 * export const welcome = mailTemplate("welcome", { data: Type.Object({ name: Type.String() }) }, ({ data, link }) => ({
 *   subject: `Welcome, ${data.name}`,
 *   text: `Hello ${data.name}, this is where you log in: ${link("/auth/login")}`,
 *   html: html`<p>Hello ${data.name}, <a href="${link("/auth/login")}">log in</a>.`,
 * }))
 */
export function mailTemplate<S extends TObject>(
  name: string,
  { data }: { data: S },
  render: (input: MailTemplateInput<Static<S>>) => MailContent,
): MailTemplate<S> {
  if (!namePattern.test(name)) {
    throw new BootError(
      `The name of a mail is lower-case letters, digits and hyphens, 100 at most; ${JSON.stringify(name)} is not.`,
    )
  }
  if (typeof data !== "object" || data === null || !("properties" in data)) {
    throw new BootError(`The mail "${name}" needs data: Type.Object({ … }), which may be empty.`)
  }
  if (typeof render !== "function") throw new BootError(`The mail "${name}" needs a function that says what is in it.`)
  return { name, data, render }
}

/** What is wrong with the data for a template, without the values; undefined when nothing is. */
export function dataFault({ name, data }: AnyMailTemplate, value: unknown): string | undefined {
  if (Value.Check(data, value)) return undefined
  const [first] = Value.Errors(data, value)
  return `The data of the mail "${name}" is wrong: ${first?.instancePath || "it"} ${first?.message ?? "is not what the schema says"}`
}
