/** Where to go after a login: a path of this server, whatever the link says that led here. */

import type { FastifyRequest } from "fastify"

/** The longest that is kept; nothing of an honest link is longer. */
const longest = 1000

/**
 * The path to go to, as a browser will read it; `/` for all that could lead to another server, so that no link to our login
 * ends at a page that only looks like ours (CWE-601).
 */
export function nextPath(text: string | undefined): string {
  // Browsers read "\" as "/", and skip tabs and line breaks: "/\t/example.com" would be another server.
  if (!text?.startsWith("/") || /^\/\/|[\\\p{Cc}]/u.test(text) || text.length > longest) return "/"
  const url = URL.parse(text, "http://here.invalid")
  if (url?.host !== "here.invalid") return "/"
  const path = url.pathname + url.search + url.hash
  // "/..//example.com" is one of our paths, and what it becomes is not.
  return path.startsWith("//") || path.length > longest ? "/" : path
}

/** Where the link to a page says to go, in its parameter `next`. */
export function wantedNext({ query }: FastifyRequest): string {
  const { next } = query as Record<string, unknown>
  return nextPath(typeof next === "string" ? next : undefined)
}
