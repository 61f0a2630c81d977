/** A page made on the server, for those who need one. What {@link html} is given it escapes: a title is text, never HTML. */
import { type Api, HtmlPage, html, sendHtml, Type } from "trestle"

export async function example(api: Api) {
  /** Shows the ten newest movies as a page. */
  api.get("/", { role: "visitor", schema: { response: { 200: HtmlPage } } }, async (_request, reply) => {
    const movies = await api.db
      .selectFrom("movies")
      .select(["title", "director", "created"])
      .orderBy("created", "desc")
      .limit(10)
      .execute()
    return sendHtml(
      reply,
      html`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Newest movies</title>
<link rel="stylesheet" href="/example/style.css">
<h1>Newest movies</h1>
${
  movies.length === 0
    ? html`<p>None yet. <a href="/api/list#postMovies">Add one.</a></p>`
    : html`<ol>${movies.map(
        ({ title, director, created }) =>
          html`<li><strong>${title}</strong> ${director}<time datetime="${created}">${created.slice(0, 10)}</time></li>`,
      )}</ol>`
}
</html>
`,
    )
  })

  /** The look of the page: a file, since the server's Content-Security-Policy takes styles from nowhere else. */
  api.get(
    "/style.css",
    { role: "visitor", schema: { hide: true, response: { 200: Type.String() } } },
    async (_request, reply) => reply.type("text/css; charset=utf-8").send(style),
  )
}

const style = `
:root { color-scheme: light dark }
body { max-width: 36rem; margin: 4rem auto; padding: 0 1.25rem; font: 1.05rem/1.5 system-ui, sans-serif }
h1 { font-size: 2rem; letter-spacing: -0.02em }
ol { padding: 0; list-style: none }
li { display: grid; grid-template-columns: 1fr auto; padding: 0.75rem 0; border-top: 1px solid #8884 }
li { overflow-wrap: anywhere }
strong { grid-column: 1 / -1 }
time { grid-column: 2; font-variant-numeric: tabular-nums }
`
