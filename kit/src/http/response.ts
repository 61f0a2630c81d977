/**
 * Node's response, with some headers that it has from the start. They are written as one text: checking and joining them one
 * by one for each answer costs a tenth of a small request.
 */
import { ServerResponse, validateHeaderValue } from "node:http"

/** Node calls this with the headers in any of the forms that `writeHead` takes. Its documentation does not know it. */
const { _storeHeader: storeHeader } = ServerResponse.prototype as unknown as {
  _storeHeader?(this: ServerResponse, firstLine: string, headers: object | undefined): void
}

/**
 * Makes the class of a server's responses. A header that is set takes the place of ours, and one that is removed is not sent.
 * @returns undefined where Node writes headers in another way; then they have to be set one by one
 */
export function responseWith(headers: Record<string, string>): typeof ServerResponse | undefined {
  if (!storeHeader) return undefined
  const lines = new Map<string, string>()
  const values = new Map<string, string>()
  /** The lower-case name of each, by the ways that it is usually written: `x-frame-options`, `X-Frame-Options`. */
  const names: Record<string, string | undefined> = Object.create(null)
  for (const [name, value] of Object.entries(headers)) {
    validateHeaderValue(name, value)
    names[name] = name
    names[name.replace(/\b[a-z]/g, (letter) => letter.toUpperCase())] = name
    values.set(name, value)
    lines.set(name, `${name}: ${value}\r\n`)
  }
  const all = [...lines.values()].join("")

  /** Whether headers of a response take the place of ours. */
  function touchOurs(headers: object | undefined): boolean {
    if (Array.isArray(headers)) return true
    for (const name in headers) if (names[name] !== undefined) return true
    return false
  }

  return class Response extends ServerResponse {
    private removed: Set<string> | undefined

    override getHeader(name: string) {
      return super.getHeader(name) ?? this.own(name)
    }

    override hasHeader(name: string): boolean {
      return super.hasHeader(name) || this.own(name) !== undefined
    }

    override getHeaders() {
      const left = [...values].filter(([name]) => !this.removed?.has(name))
      return { ...Object.fromEntries(left), ...super.getHeaders() }
    }

    override removeHeader(name: string): void {
      super.removeHeader(name)
      this.leaveOut(name)
    }

    _storeHeader(firstLine: string, headers: object | undefined): void {
      let text = all
      if (this.removed || touchOurs(headers)) {
        for (const name of namesIn(headers)) this.leaveOut(name)
        text = [...lines].map(([name, line]) => (this.removed?.has(name) ? "" : line)).join("")
      }
      storeHeader!.call(this, firstLine + text, headers)
    }

    private leaveOut(name: string): void {
      this.removed ??= new Set()
      this.removed.add(name.toLowerCase())
    }

    private own(name: string): string | undefined {
      const lower = name.toLowerCase()
      return this.removed?.has(lower) ? undefined : values.get(lower)
    }
  } as typeof ServerResponse
}

/** The names in what `writeHead` takes: an object, a list of pairs, or a list of names and values in turn. */
function namesIn(headers: object | undefined): string[] {
  if (!Array.isArray(headers)) return Object.keys(headers ?? {})
  return Array.isArray(headers[0]) ? headers.map(([name]) => name) : headers.filter((_, i) => i % 2 === 0)
}
