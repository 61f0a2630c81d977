/** A client that keeps cookies, as a browser does, and says where it comes from when it is told to. */
import type { Answer } from "trestle/testing"

export class Browser {
  readonly url: string
  readonly cookies = new Map<string, string>()
  /** Sent with every request. */
  readonly headers: Record<string, string>

  constructor(url: string, headers: Record<string, string> = {}) {
    this.url = url
    this.headers = headers
  }

  get(path: string, headers?: Record<string, string>) {
    return this.call("GET", path, undefined, headers)
  }
  post(path: string, body?: unknown, headers?: Record<string, string>) {
    return this.call("POST", path, body, headers)
  }
  patch(path: string, body?: unknown, headers?: Record<string, string>) {
    return this.call("PATCH", path, body, headers)
  }
  delete(path: string, body?: unknown, headers?: Record<string, string>) {
    return this.call("DELETE", path, body, headers)
  }

  async call(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer & { setCookies: string[] }> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ")
    const response = await fetch(this.url + path, {
      method,
      redirect: "manual",
      headers: {
        ...(cookie && { cookie }),
        ...(body !== undefined && { "content-type": "application/json" }),
        ...this.headers,
        ...headers,
      },
      ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
    })
    const setCookies = response.headers.getSetCookie()
    for (const line of setCookies) this.keep(line)
    const text = await response.text()
    const isJson = /\bjson\b/.test(response.headers.get("content-type") ?? "")
    return {
      status: response.status,
      headers: response.headers,
      body: isJson && text ? JSON.parse(text) : text,
      setCookies,
    }
  }

  private keep(line: string): void {
    const [pair = "", ...attributes] = line.split("; ")
    const name = pair.slice(0, pair.indexOf("="))
    if (attributes.includes("Max-Age=0")) this.cookies.delete(name)
    else this.cookies.set(name, pair.slice(name.length + 1))
  }
}

/** What signup asks for, and a person who fits it. */
export const person = (name: string) => ({
  email: `${name}@example.com`,
  password: `Correct horse ${name} 7`,
  fname: name[0]!.toUpperCase() + name.slice(1),
  lname: "Miller",
})
