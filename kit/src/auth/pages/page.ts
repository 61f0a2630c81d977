/** The frame of the pages on which people log in: plain HTML, no script, nothing from elsewhere. */
import type { FastifyReply } from "fastify"
import { type Html, html, sendHtml } from "../../core/html.ts"

export interface Page {
  title: string
  body: Html
  /** The name of the application, above the title. */
  app: string | undefined
  /** Whether it tells of a problem, which its name in the browser says first. */
  hasProblem?: boolean
  /** Where the browser goes by itself, at once. */
  goesTo?: string
}

const contentSecurityPolicy = [
  "default-src 'none'",
  "style-src 'self'",
  "img-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join("; ")

/** Sends a page. Nobody keeps it: it may have an address in it, and after a logout the way back must not show it. */
export function sendPage(reply: FastifyReply, status: number, page: Page): FastifyReply {
  reply.code(status).headers({ "content-security-policy": contentSecurityPolicy, "cache-control": "no-store" })
  return sendHtml(reply, frame(page))
}

const frame = ({ title, body, app, hasProblem, goesTo }: Page): Html => html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
${goesTo && html`<meta http-equiv="refresh" content="0;url=${goesTo}">`}
<title>${hasProblem && "Error: "}${title}${app && ` · ${app}`}</title>
<link rel="stylesheet" href="/auth/style.css">
</head>
<body>
<main>
${app && html`<p class="app"><a href="/">${app}</a></p>`}
<h1>${title}</h1>
${body}
</main>
</body>
</html>
`
