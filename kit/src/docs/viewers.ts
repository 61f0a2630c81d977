/**
 * Swagger UI and ReDoc, which read the OpenAPI document in the browser. Their scripts come from this server, and each page's
 * Content-Security-Policy sees to it that nothing comes from elsewhere and nothing goes there.
 */
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { type Html, html } from "../core/html.ts"
import { type Asset, makeAsset } from "./assets.ts"

/** A page with the files that it is made of. */
export interface Viewer {
  contentSecurityPolicy: string
  page: (title: string) => Html
  /** By their names below the page. */
  files: Record<string, () => Promise<Asset>>
}

const here = import.meta.dirname
/** Beside `src` in the repository, beside `dist` in the package. */
const redocFolder = join(here, "../../assets/redoc")
/** The package brings Swagger UI's files; its plugin is not used. `swagger-ui-dist` has an install script that reports home. */
const swaggerFolder = () => join(fileURLToPath(import.meta.resolve("@fastify/swagger-ui/package.json")), "../static")

const script = async (file: string) => makeAsset("text/javascript; charset=utf-8", await readFile(file))
const style = async (file: string) => makeAsset("text/css; charset=utf-8", await readFile(file))

const policy = (...more: string[]) =>
  [
    "default-src 'none'",
    "script-src 'self'",
    "connect-src 'self'",
    "img-src 'self' data:",
    ...more,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ")

export const swagger: Viewer = {
  contentSecurityPolicy: policy("style-src 'self'"),
  page: (title) =>
    page(
      title,
      html`<link rel="stylesheet" href="/api/docs/swagger-ui.css">
<link rel="stylesheet" href="/api/docs/page.css">
<script src="/api/docs/swagger-ui-bundle.js" defer></script>
<script src="/api/docs/start.js" defer></script>`,
      html`<div id="swagger-ui"></div>`,
    ),
  files: {
    "swagger-ui.css": () => style(join(swaggerFolder(), "swagger-ui.css")),
    "swagger-ui-bundle.js": () => script(join(swaggerFolder(), "swagger-ui-bundle.js")),
    "page.css": () => style(join(here, "browser/swagger.css")),
    "start.js": () => script(join(here, "browser/swagger.js")),
  },
}

export const redoc: Viewer = {
  // It styles itself with inline styles, and its search is a worker that it makes of text.
  contentSecurityPolicy: policy("style-src 'self' 'unsafe-inline'", "worker-src blob:"),
  page: (title) =>
    page(
      title,
      html`<link rel="stylesheet" href="/api/redoc/page.css">
<script src="/api/redoc/redoc.standalone.js" defer></script>
<script src="/api/redoc/start.js" defer></script>`,
      html`<div id="redoc"></div>`,
    ),
  files: {
    "redoc.standalone.js": redocScript,
    "page.css": () => style(join(here, "browser/redoc.css")),
    "start.js": () => script(join(here, "browser/redoc.js")),
  },
}

/** ReDoc's script as it is published, but for the picture that it would load from elsewhere. */
async function redocScript(): Promise<Asset> {
  const text = await readFile(join(redocFolder, "redoc.standalone.js"), "utf8")
  return makeAsset("text/javascript; charset=utf-8", text.replaceAll(redocLogo, noPicture))
}

/** The logo beside the words "API docs by Redocly", which stay. */
export const redocLogo = "https://cdn.redoc.ly/redoc/logo-mini.svg"
const noPicture = "data:image/svg+xml,%3Csvg xmlns=%22http://www.w3.org/2000/svg%22/%3E"

const page = (title: string, head: Html, body: Html): Html => html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<link rel="icon" href="data:,">
${head}
</head>
<body>
${body}
<noscript><p>This page needs JavaScript. /api/list does without.</p></noscript>
</body>
</html>
`
