/** A call of a server that people can try as it stands: what a start prints. */
import { relative } from "node:path"
import type { App } from "../app.ts"
import type { Tls } from "../http/tls.ts"

/** A path of the application that everyone may GET. */
export function samplePath(app: App): string {
  const [first] = Object.keys(app.routes)
  return first && !first.startsWith("/") ? `/api/${first}/` : "/api/health"
}

/** What curl must be told to trust the server's certificate; nothing where machines trust it anyway. */
export const trustFor = (tls: Tls | undefined): string =>
  tls?.isSelfSigned ? `--cacert ${shellWord(relative(process.cwd(), tls.file))} ` : ""

/** A curl that works as it stands. */
export const sampleCurl = (url: string, trust: string, sample: string): string => `curl ${trust}${url}${sample}`

const shellWord = (text: string): string => (/^[\w./@-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`)
