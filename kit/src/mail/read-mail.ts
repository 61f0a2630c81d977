/**
 * Reads the mails that compose.ts makes, to show them: a text, or a text and HTML beside it. It is no reader for mails of
 * others, which come in forms that this one does not know.
 */

/** A mail, read. */
export interface ReadMail {
  /** By their names in lower case. */
  headers: Map<string, string>
  text: string
  html?: string
}

export function readMail(raw: Buffer): ReadMail {
  const { headers, body } = split(raw.toString("latin1"))
  const boundary = /boundary="([^"]+)"/.exec(headers.get("content-type") ?? "")?.[1]
  const parts = boundary === undefined ? [{ headers, body }] : partsOf(body, boundary)
  const find = (type: string) => parts.find((part) => part.headers.get("content-type")?.startsWith(type))
  const html = find("text/html")
  const text = find("text/plain")
  return { headers, text: text ? contentOf(text) : "", ...(html && { html: contentOf(html) }) }
}

interface Part {
  headers: Map<string, string>
  body: string
}

function split(text: string): Part {
  const end = text.indexOf("\r\n\r\n")
  const head = text.slice(0, end).replace(/\r\n[ \t]+/g, " ")
  const lines = head.split("\r\n").map((line) => /^([^:]+):\s*(.*)$/.exec(line) ?? [])
  const headers = new Map(lines.map(([, name = "", value = ""]) => [name.toLowerCase(), decodeWords(value)]))
  return { headers, body: text.slice(end + 4) }
}

function partsOf(body: string, boundary: string): Part[] {
  const parts = body.split(`--${boundary}`).slice(1, -1)
  return parts.map((part) => split(part.replace(/^\r\n/, "").replace(/\r\n$/, "")))
}

function contentOf({ headers, body }: Part): string {
  const encoding = headers.get("content-transfer-encoding")?.toLowerCase()
  const bytes =
    encoding === "base64"
      ? Buffer.from(body, "base64")
      : Buffer.from(encoding === "quoted-printable" ? decodeQuoted(body) : body, "latin1")
  return bytes.toString("utf8").replaceAll("\r\n", "\n")
}

const decodeQuoted = (text: string): string =>
  text
    .replace(/=\r\n/g, "")
    .replace(/=([0-9A-F]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))

/** What stands for other characters than ASCII in a header (RFC 2047). */
const decodeWords = (value: string): string =>
  value
    .replace(/\?=\s+=\?/g, "?==?")
    .replace(/((?:=\?utf-8\?[QB]\?[^?]*\?=)+)/gi, (words) =>
      Buffer.concat(
        [...words.matchAll(/=\?utf-8\?([QB])\?([^?]*)\?=/gi)].map(([, kind = "", text = ""]) =>
          kind.toUpperCase() === "B"
            ? Buffer.from(text, "base64")
            : Buffer.from(decodeQuoted(text.replaceAll("_", " ")), "latin1"),
        ),
      ).toString("utf8"),
    )
