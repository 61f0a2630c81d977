/**
 * `/dev/mail`: the mails of `data/mail` in a browser. In development and in tests only: they hold links that open accounts.
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify"
import { notFound } from "../core/errors.ts"
import { type Html, HtmlPage, html, sendHtml, unsafeHtml } from "../core/html.ts"
import { Type } from "../core/schema.ts"
import type { Mail } from "./mail.ts"
import type { MailFolder } from "./mail-folder.ts"
import { type ReadMail, readMail } from "./read-mail.ts"

/** How many are listed. */
const listed = 100

const pagePolicy = "default-src 'none'; style-src 'self'; frame-src 'self'; base-uri 'none'; frame-ancestors 'none'"
/** What a mail program would do: styles and images, no script; links open beside. */
const mailPolicy =
  "default-src 'none'; style-src 'unsafe-inline'; img-src * data:; frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox"

interface Shown extends ReadMail {
  id: string
}

interface Listed extends Shown {
  written: Date
}

export function devMail(api: FastifyInstance, { folder }: Mail, app: string | undefined): void {
  const style = readFileSync(join(import.meta.dirname, "dev-mail.css"), "utf8")
  const page = { hide: true, response: { 200: HtmlPage } }
  const text = { hide: true, response: { 200: Type.String() } }

  api.get("/dev/mail", { role: "visitor", schema: page }, async (_request, reply) => {
    return answer(reply, pageOf(await newest(folder), undefined, { folder, app }))
  })

  api.get("/dev/mail/style.css", { role: "visitor", etag: true, schema: text }, async (_request, reply) =>
    reply.header("cache-control", "no-cache").type("text/css; charset=utf-8").send(style),
  )

  api.get("/dev/mail/:id", { role: "visitor", schema: page }, async (request, reply) => {
    const { id, raw } = await wanted(request)
    return answer(reply, pageOf(await newest(folder), { id, ...readMail(raw) }, { folder, app }))
  })

  api.get("/dev/mail/:id/html", { role: "visitor", schema: page }, async (request, reply) => {
    const { html: content = "" } = readMail((await wanted(request)).raw)
    reply.headers({
      "content-security-policy": mailPolicy,
      "cache-control": "no-store",
      "referrer-policy": "no-referrer",
    })
    // Whatever the mail says: the sandbox of the policy keeps it from everything here. In a frame no link of it could open.
    return sendHtml(reply, html`<base target="_blank">${unsafeHtml(content)}`)
  })

  api.get("/dev/mail/:id/source", { role: "visitor", schema: text }, async (request, reply) => {
    const { raw } = await wanted(request)
    return reply.header("cache-control", "no-store").type("text/plain; charset=utf-8").send(raw.toString())
  })

  async function wanted({ params }: FastifyRequest): Promise<{ id: string; raw: Buffer }> {
    const { id } = params as { id: string }
    const raw = await folder?.read(id)
    if (!raw) throw notFound("mail")
    return { id, raw }
  }
}

async function newest(folder: MailFolder | undefined): Promise<Listed[]> {
  const mails = (await folder?.list(listed)) ?? []
  const shown = mails.map(async ({ id, written }) => {
    const raw = await folder!.read(id)
    return raw ? [{ id, written, ...readMail(raw) }] : []
  })
  return (await Promise.all(shown)).flat()
}

const answer = (reply: FastifyReply, page: Html): FastifyReply =>
  sendHtml(
    reply.headers({
      "content-security-policy": pagePolicy,
      "cache-control": "no-store",
      "referrer-policy": "no-referrer",
    }),
    page,
  )

const pageOf = (
  mails: readonly Listed[],
  open: Shown | undefined,
  { folder, app }: { folder: MailFolder | undefined; app: string | undefined },
): Html => html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${open && `${open.headers.get("subject")} · `}Mail${app && ` of ${app}`}</title>
<link rel="stylesheet" href="/dev/mail/style.css">
</head>
<body class="${open && "reading"}">
<header>
<h1><a href="/dev/mail">Mail${app && ` of ${app}`}</a></h1>
<p>${folder ? html`From <code>${folder.folder}</code>, the newest first.` : "Mails go to the server of SMTP_URL."}</p>
</header>
<nav aria-label="Mails">
${
  mails.length === 0
    ? html`<p class="none">No mail yet.</p>`
    : html`<ol>${mails.map((mail) => entry(mail, mail.id === open?.id))}</ol>`
}
</nav>
<main>
${open ? messageOf(open) : html`<p class="none">${mails.length > 0 && "Choose a mail."}</p>`}
</main>
</body>
</html>
`

function entry({ id, written, headers }: Listed, isOpen: boolean): Html {
  const content = html`<strong>${headers.get("subject") || "(no subject)"}</strong>
<span>${headers.get("to")}</span>
<time datetime="${written.toISOString()}">${written.toISOString().slice(0, 16).replace("T", " ")}</time>`
  return isOpen
    ? html`<li><a href="/dev/mail/${id}" aria-current="page">${content}</a></li>`
    : html`<li><a href="/dev/mail/${id}">${content}</a></li>`
}

const messageOf = ({ id, headers, text, html: content }: Shown): Html => html`<article>
<h2>${headers.get("subject") || "(no subject)"}</h2>
<dl>${["From", "To", "Reply-To", "Date"].map((name) => {
  const value = headers.get(name.toLowerCase())
  return value && html`<div><dt>${name}</dt><dd>${value}</dd></div>`
})}</dl>
${
  content !== undefined &&
  html`<h3>HTML</h3>
<iframe title="The mail as HTML" src="/dev/mail/${id}/html" sandbox="allow-popups allow-popups-to-escape-sandbox"></iframe>`
}
<h3>Text</h3>
<pre>${linked(text)}</pre>
<p class="source"><a href="/dev/mail/${id}/source">Source</a></p>
</article>`

/** Text with its links as links, as mail programs show it. */
const linked = (text: string): Html[] =>
  text
    .split(/(https?:\/\/[^\s<>"]+)/)
    .map((piece, i) => (i % 2 === 1 ? html`<a href="${piece}">${piece}</a>` : html`${piece}`))
