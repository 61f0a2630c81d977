/** One POST to addresses that were checked, with limits on all that the receiver may do in return. */
import http from "node:http"
import https from "node:https"
import { isIP, type LookupFunction } from "node:net"
import { hostOf } from "./target.ts"

/** What is read of an answer, in bytes: enough to see what went wrong. The rest is left to the receiver. */
const readAtMost = 4096

/** What is kept of it, in characters. */
const keptAtMost = 200

/** How long one of several addresses may take to connect before the next is tried, in milliseconds. Node's 250 is short across an ocean. */
const nextAddressMs = 2000

/** What a receiver said. */
export interface Answer {
  status: number
  /** The beginning of the body, in one line, without control characters. */
  excerpt: string
}

export interface Message {
  headers: Record<string, string>
  body: Buffer
}

/**
 * Sends a message and waits for the answer. No redirect is followed, no connection is kept, no proxy is used.
 * @param addresses the only ones that are connected to; the name of the URL is what TLS asks for, and the `Host`
 * @param signal ends it at any point
 */
export function post(url: URL, addresses: string[], { headers, body }: Message, signal: AbortSignal): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const host = hostOf(url)
  const request = (url.protocol === "https:" ? https : http).request({
    method: "POST",
    protocol: url.protocol,
    host,
    port: url.port,
    path: url.pathname + url.search,
    headers: { ...headers, "content-length": body.length },
    // RFC 6066, section 3: no address, and no dot at the end.
    servername: isIP(host) ? "" : host.replace(/\.$/, ""),
    lookup: answering(addresses),
    autoSelectFamilyAttemptTimeout: nextAddressMs,
    agent: false,
    signal,
  } as https.RequestOptions)
  // Without an error Node ends a connection that the receiver wants to speak another protocol on.
  const unanswered = () => reject(Object.assign(new Error("The connection ended."), { code: "ECONNRESET" }))
  request.on("error", reject).on("close", unanswered)
  request.on("response", async (response) => {
    // The receiver has said what it will: a body that breaks off, or that comes too slowly, takes nothing of it back.
    request.off("close", unanswered).off("error", reject)
    request.on("error", () => {})
    resolve({ status: response.statusCode!, excerpt: await beginningOf(response) })
  })
  request.end(body)
  return promise
}

/** Answers each question for a name with these addresses. */
const answering =
  (addresses: string[]): LookupFunction =>
  (_name, { all }, done) => {
    const found = addresses.map((address) => ({ address, family: isIP(address) }))
    if (all) done(null, found)
    else done(null, found[0]!.address, found[0]!.family)
  }

async function beginningOf(response: http.IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      chunks.push(chunk)
      length += chunk.length
      // Leaving the loop ends the connection.
      if (length >= readAtMost) break
    }
  } catch {}
  const text = Buffer.concat(chunks).subarray(0, readAtMost).toString()
  return text
    .replace(/[\p{C}\s]+/gu, " ")
    .trim()
    .slice(0, keptAtMost)
    .toWellFormed()
}
