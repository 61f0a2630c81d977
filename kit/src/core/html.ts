/**
 * Pages of HTML, for those who need one: a template that escapes. Not a template engine; a page that wants more than a few of
 * these wants a front end of its own.
 */
import { type TUnsafe, Type } from "typebox"
import { findPlaces, type Place } from "./html-places.ts"

/** Text that is HTML already. Only {@link html} and {@link unsafeHtml} make it. */
export class Html {
  readonly #text: string

  /** @internal */
  constructor(text: string) {
    this.#text = text
  }

  toString(): string {
    return this.#text
  }
}

/** What a template takes: text is escaped, HTML and lists of it stand as they are, null, undefined, true and false are nothing. */
export type HtmlValue = Html | string | number | bigint | boolean | null | undefined | readonly HtmlValue[]

/**
 * Makes HTML. Every value is escaped, in text and in quoted attributes; what no escaping makes safe is refused with an error:
 * values in a tag outside quotes, in `<script>`, `<style>` and comments, in `on…`, `style` and `srcdoc` attributes. A link
 * (`href`, `src`, …) with another scheme than http, https, mailto or tel becomes `about:invalid`.
 * @throws TypeError where a value cannot stand, or is an object: write out what you mean.
 * @example
 * const list = html`<ul>${movies.map((movie) => html`<li title="${movie.title}">${movie.title}</li>`)}</ul>`
 */
export function html(strings: TemplateStringsArray, ...values: HtmlValue[]): Html {
  const places = placesIn(strings)
  let text = strings[0]!
  for (let i = 0; i < values.length; i++) text += write(values[i], places[i]!) + strings[i + 1]
  return new Html(text)
}

/**
 * Takes text for HTML as it is, as with the output of a Markdown renderer that was told to sanitize. Never give it what came
 * from a client: that is how scripts are smuggled into a page.
 */
export const unsafeHtml = (text: string): Html => new Html(text)

/** What {@link sendHtml} hands on; nothing else can make one, so a route cannot send text that was not escaped. */
export interface SentHtml {
  "~html": true
}

/** The response schema of a route that answers a page: `response: { 200: HtmlPage }`, and `sendHtml` in the handler. */
export const HtmlPage: TUnsafe<SentHtml> = Type.Unsafe<SentHtml>({ type: "string", contentMediaType: "text/html" })

/** As much of Fastify's reply as sending a page takes. */
interface HtmlReply {
  type(contentType: string): unknown
  send(page: SentHtml): unknown
}

/**
 * Sends a page.
 * @example return sendHtml(reply, html`<!doctype html><title>Hello</title><p>Hello, ${name}`)
 */
export function sendHtml<R extends HtmlReply>(reply: R, page: Html): R {
  reply.type("text/html; charset=utf-8")
  reply.send(page.toString() as never)
  return reply
}

const escapes: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" }

const escapeText = (text: string): string => text.replace(/[&<>"']/g, (character) => escapes[character]!)

function write(value: HtmlValue, place: Place): string {
  if (value === null || value === undefined || typeof value === "boolean") return ""
  if (Array.isArray(value)) return value.map((item: HtmlValue) => write(item, place)).join("")
  if (value instanceof Html) {
    if (place === "text") return value.toString()
    throw new TypeError("HTML cannot stand in an attribute. Give it text.")
  }
  if (typeof value === "object" || typeof value === "function" || typeof value === "symbol") {
    throw new TypeError(`A template takes text, numbers and other HTML, not ${Object.prototype.toString.call(value)}.`)
  }
  const text = String(value)
  return escapeText(place === "link" && !isSafeLink(text) ? "about:invalid" : text)
}

/** A known scheme, or none. What a browser would skip in front of a scheme or inside it counts as a part of it. */
const isSafeLink = (text: string): boolean => /^(https?|mailto|tel):/i.test(text) || !/^[^/?#]*:/.test(text)

/** The places of each template in the source, found once. */
const known = new WeakMap<TemplateStringsArray, Place[]>()

function placesIn(strings: TemplateStringsArray): Place[] {
  let places = known.get(strings)
  if (!places) {
    places = findPlaces(strings)
    known.set(strings, places)
  }
  return places
}
