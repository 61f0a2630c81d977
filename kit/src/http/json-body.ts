/** Reads JSON bodies: UTF-8 text, not too deep, no `__proto__`, nothing that PostgreSQL cannot store. */
import { isUtf8 } from "node:buffer"
import type { FastifyInstance } from "fastify"
import { badRequest, HttpError } from "../core/errors.ts"

/** Methods whose body means nothing: clients send one all the same, or its Content-Type without it. */
const bodiless = new Set(["DELETE", "GET", "HEAD", "OPTIONS"])

/** `application/json`, and the types made of it, such as `application/merge-patch+json`. */
const jsonTypes = /^application\/([a-z0-9.-]+\+)?json\s*(;|$)/i

export function readJsonBodies(api: FastifyInstance, maxDepth: number): void {
  const parse = api.getDefaultJsonParser("error", "error")
  const refuse = (text: string) => badRequest(`The body is not JSON: ${faultOf(text)}`)
  // Fastify reads text/plain too; a body of text is nothing that a route here asks for, so it is a 415.
  api.removeAllContentTypeParsers()

  api.addContentTypeParser(jsonTypes, { parseAs: "buffer" }, (request, body, done) => {
    const encoding = request.headers["content-encoding"]
    if (encoding && encoding !== "identity") {
      done(new HttpError(415, "Send the body as it is, without Content-Encoding."))
      return
    }
    if (!isUtf8(body as Buffer) || /charset=(?!"?utf-?8)/i.test(request.headers["content-type"]!)) {
      done(badRequest("The body is not UTF-8, which JSON is in."))
      return
    }
    const text = body.toString()
    if (text === "") {
      if (bodiless.has(request.method)) done(null, undefined)
      else done(badRequest("The body is empty. Send JSON, or leave out the Content-Type."))
      return
    }
    if (isDeeper(text, maxDepth)) {
      done(badRequest(`The body nests deeper than ${maxDepth} levels.`))
      return
    }
    parse(request, text, (error: Error | null, value?: unknown) => {
      if (error) done(refuse(text))
      // Only an escape can bring these in: JSON.parse refuses them as they are.
      else if (text.includes("\\u") && hasUnstorableText(value)) {
        done(badRequest("The body has a NUL character or half a surrogate pair in a string. Send text."))
      } else done(null, value)
    })
  })
}

/** What is wrong, in the words of JSON.parse, which give the place; Fastify's parser does not say. */
function faultOf(text: string): string {
  try {
    JSON.parse(text)
    return "a field may not be named __proto__, nor constructor with a prototype."
  } catch (error) {
    return `${(error as Error).message}.`
  }
}

/** Counts brackets outside strings; what is too short to nest so deep is not looked at. */
function isDeeper(json: string, most: number): boolean {
  if (json.length <= 2 * most) return false
  let depth = 0
  for (let i = 0; i < json.length; i++) {
    const code = json.charCodeAt(i)
    if (code === 34 /* " */) {
      while (++i < json.length && json.charCodeAt(i) !== 34) if (json.charCodeAt(i) === 92 /* \ */) i++
    } else if (code === 91 /* [ */ || code === 123 /* { */) {
      if (++depth > most) return true
    } else if (code === 93 /* ] */ || code === 125 /* } */) depth--
  }
  return false
}

/** NUL, which PostgreSQL's text cannot hold, and lone surrogates, which UTF-8 cannot. */
function hasUnstorableText(value: unknown): boolean {
  if (typeof value === "string") return value.includes("\0") || !value.isWellFormed()
  if (typeof value !== "object" || value === null) return false
  return Object.entries(value).some(([key, item]) => hasUnstorableText(key) || hasUnstorableText(item))
}
