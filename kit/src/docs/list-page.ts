/**
 * The list of all endpoints, at /api/list: one page without a framework, in one answer. It is complete without JavaScript;
 * the script only adds the search.
 */
import { hash } from "node:crypto"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { type Html, html, unsafeHtml } from "../core/html.ts"
import type { Endpoint } from "./endpoints.ts"
import { type Field, fieldsOf, shapeOf } from "./fields.ts"
import type { Project } from "./openapi.ts"

export interface ListOptions {
  project: Project
  mode: string
  /** Which other pages there are to point at. */
  docs: { openapi: boolean; swagger: boolean; redoc: boolean }
  /** When the server started, in milliseconds since 1970. */
  started: number
}

/** Makes the page once; what is called for each request only writes how long ago the server started. */
export function listPage(endpoints: readonly Endpoint[], { project, mode, docs, started }: ListOptions) {
  const style = browserFile("list.css")
  const script = browserFile("list.js")
  const modules = Map.groupBy(endpoints, ({ module }) => module)
  const list = [...modules].map(([module, its]) => section(module, its))
  const counts = `${count(endpoints.length, "endpoint")} in ${count(modules.size, "module")}`

  return {
    contentSecurityPolicy: [
      "default-src 'none'",
      `style-src '${sourceHash(style)}'`,
      `script-src '${sourceHash(script)}'`,
      "img-src data:",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ].join("; "),
    page: (): Html => html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${project.name} API</title>
<link rel="icon" href="data:,">
${unsafeHtml(`<style>${style}</style>`)}
</head>
<body>
<header>
<h1>${project.name} <small>API ${project.version}</small></h1>
${project.description && html`<p>${project.description}</p>`}
<p class="facts">${counts} <span>${mode}</span> <span>started <time datetime="${new Date(started).toISOString()}">${ago(started)}</time></span></p>
${links(docs)}
</header>
<search id="search" hidden><input type="search" placeholder="Search endpoints" aria-label="Search endpoints" autocomplete="off" spellcheck="false"><output></output></search>
<main>
${list}
<p id="none" hidden>No endpoint has all of these words.</p>
</main>
${unsafeHtml(`<script>${script}</script>`)}
</body>
</html>
`,
  }
}

const browserFile = (name: string): string => readFileSync(join(import.meta.dirname, "browser", name), "utf8")

/** What a Content-Security-Policy knows an inline script by. */
const sourceHash = (text: string): string => `sha256-${hash("sha256", text, "base64")}`

const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? "" : "s"}`

function links({ openapi, swagger, redoc }: ListOptions["docs"]): Html | false {
  return (
    openapi &&
    html`<nav>${swagger && html`<a href="/api/docs">Swagger UI</a> `}${redoc && html`<a href="/api/redoc">ReDoc</a> `}<a href="/api/openapi.json">OpenAPI</a></nav>`
  )
}

const section = (module: string, endpoints: Endpoint[]): Html => html`<section>
<h2>${module} <small>${endpoints.length}</small></h2>
${endpoints.map(entry)}</section>
`

function entry(endpoint: Endpoint): Html {
  const { id, method, path, role, module, isKit, summary, details } = endpoint
  const fields = fieldsOf(endpoint)
  return html`<details id="${id}">
<summary><b class="${method.toLowerCase()}">${method}</b> <code>${breakable(path)}</code> <i>${role}</i> <span>${prose(summary ?? "")}</span></summary>
<div>
${details?.split(/\n\s*\n/).map((paragraph) => html`<p>${prose(paragraph)}</p>`)}
${fields.length > 0 && fieldTable(fields)}
<dl>${Object.entries(endpoint.responses).map(([status, schema]) => html`<dt>${status}</dt><dd><code>${shapeOf(schema)}</code></dd>`)}</dl>
<p class="small">${who(role)} ${isKit ? "Part of the server" : `In the module ${module}`}. <a href="#${id}">Link</a></p>
</div>
</details>
`
}

const who = (role: Endpoint["role"]): string =>
  role === "visitor" ? "Everyone may call." : `Needs the role ${role}${role === "superuser" ? "" : " or a higher one"}.`

const fieldTable = (fields: Field[]): Html => html`<table>
<thead><tr><th>Field</th><th>Where</th><th>Type</th><th>Meaning</th></tr></thead>
<tbody>${fields.map(
  ({ name, place, type, isRequired, limits, description }) =>
    html`<tr><th scope="row"><code>${name}</code>${isRequired && html` <em>required</em>`}</th><td>${place}</td><td>${type}</td><td>${description && prose(description)}${description && limits && " · "}${limits && html`<small>${limits}</small>`}</td></tr>
`,
)}</tbody>
</table>`

/** Text of a comment, whose backquotes mean code. */
const prose = (text: string): Html[] =>
  text.split(/(`[^`]+`)/).map((piece, i) => (i % 2 === 1 ? html`<code>${piece.slice(1, -1)}</code>` : html`${piece}`))

/** A path that a narrow screen may break behind its slashes. */
const breakable = (path: string): Html[] =>
  path.split(/(?<=.)(?=\/)/).map((part, i) => (i === 0 ? html`${part}` : html`<wbr>${part}`))

const units = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
  ["second", 1000],
] as const

function ago(started: number): string {
  const age = Date.now() - started
  const [unit, ms] = units.find(([, least]) => age >= least) ?? []
  if (!unit) return "just now"
  return `${count(Math.floor(age / ms), unit)} ago`
}
