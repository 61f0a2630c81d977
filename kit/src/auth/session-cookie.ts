/**
 * The cookies of a session and of a browser (RFC 6265bis). Scripts cannot read them; over TLS their names begin with `__Host-`,
 * so that neither another host of the domain nor plain HTTP can plant one.
 */
import type { FastifyReply, FastifyRequest } from "fastify"
import type { Config } from "../core/config/index.ts"
import { BootError, badRequest } from "../core/errors.ts"

/** One of our cookies. */
export interface Cookie {
  /** @throws HttpError 400 when it came twice: one of the two was planted, and nobody knows which */
  read(request: FastifyRequest): string | undefined
  /** @param maxAgeMs how long the browser keeps it; undefined until it is closed */
  write(request: FastifyRequest, reply: FastifyReply, value: string, maxAgeMs: number | undefined): void
  clear(request: FastifyRequest, reply: FastifyReply): void
}

export function createCookie(name: string, settings: Config["session"]): Cookie {
  if (settings.same_site === "none" && !settings.secure) {
    throw new BootError(
      "session.same_site is none, and browsers take such a cookie only over TLS. Set SESSION_SECURE=true.",
    )
  }
  const prefix = settings.domain ? "__Secure-" : "__Host-"
  const sameSite = settings.same_site[0]!.toUpperCase() + settings.same_site.slice(1)
  const domain = settings.domain ? `; Domain=${settings.domain}` : ""
  const isSecure = (request: FastifyRequest) => settings.secure || request.protocol === "https"
  const nameFor = (request: FastifyRequest) => (isSecure(request) ? prefix + name : name)
  const set = (request: FastifyRequest, reply: FastifyReply, value: string, rest: string) => {
    const secure = isSecure(request) ? "; Secure" : ""
    reply.header(
      "set-cookie",
      `${nameFor(request)}=${value}; Path=/; HttpOnly; SameSite=${sameSite}${secure}${domain}${rest}`,
    )
  }
  return {
    read(request) {
      const header = request.headers.cookie
      return header === undefined ? undefined : valueIn(header, nameFor(request))
    },
    write(request, reply, value, maxAgeMs) {
      set(request, reply, value, maxAgeMs === undefined ? "" : `; Max-Age=${Math.ceil(maxAgeMs / 1000)}`)
    },
    clear(request, reply) {
      set(request, reply, "", "; Max-Age=0")
    },
  }
}

function valueIn(header: string, name: string): string | undefined {
  let value: string | undefined
  for (let start = 0; start < header.length; ) {
    const semicolon = header.indexOf(";", start)
    const end = semicolon < 0 ? header.length : semicolon
    while (header[start] === " ") start++
    if (header.startsWith(name, start) && header[start + name.length] === "=") {
      if (value !== undefined) throw badRequest(`There are two cookies named ${name}. Delete the cookies of this site.`)
      value = header.slice(start + name.length + 1, end).trim()
    }
    start = end + 1
  }
  return value
}
