/** One file as an answer: not again to whoever has it, or a part of it, from memory or as a stream. */
import type { FileHandle } from "node:fs/promises"
import type { Readable } from "node:stream"
import type { FastifyReply, FastifyRequest } from "fastify"
import { HttpError } from "../../core/errors.ts"
import { headersOf } from "../reply-headers.ts"
import { isRefused, isUnchanged, type Part, partOf, preferredEncoding } from "./conditions.ts"
import type { Content, StaticFile } from "./static-folder.ts"

/** What is sent, and how. */
export interface Source {
  file: StaticFile
  /** 200, or the status that the page is for: then no condition of the request counts, since they are about what it asked for. */
  status: number
  cacheControl: string
  /** Opens a file that is not in memory; undefined when it is not the same any more. */
  open(content: Content): Promise<FileHandle | undefined>
}

/** A client that takes nothing for so long is given up. As long as it takes something it may be as slow as it is. */
const stalledAfterMs = 60_000

/** How much of a large file is read at once: a quarter of the reads that Node's 64 kB would need. */
const chunkSize = 262_144

/** Answers, at once from memory; false when the file changed since it was looked at and nothing was sent. */
export function sendFile(request: FastifyRequest, reply: FastifyReply, source: Source): true | Promise<boolean> {
  const { file, status, open } = source
  const content = contentFor(file, request.headers["accept-encoding"])
  const isFound = status === 200
  if (isFound && isRefused(request.headers, content)) {
    throw new HttpError(412, "The file is not in the state that If-Match or If-Unmodified-Since asks for.")
  }
  if (isFound && isUnchanged(request.headers, content)) {
    writeHead(reply, source, content)
    reply.code(304).send()
    return true
  }
  const { size, body } = content
  const isHead = request.method === "HEAD"
  const part = isFound && !isHead ? partOf(request.headers, size, content) : undefined
  if (part === "unsatisfiable") {
    throw new HttpError(416, `The file has ${size} bytes.`, { headers: { "content-range": `bytes */${size}` } })
  }
  if (isHead) {
    writeBodyHead(reply, source, content, part)
    reply.send()
    return true
  }
  if (body) {
    writeBodyHead(reply, source, content, part)
    reply.send(part ? body.subarray(part.start, part.end + 1) : body)
    // Most of the time the system has taken it all by now. A hook may have put it off.
    const { writableEnded, writableLength } = reply.raw
    if (!writableEnded || writableLength > 0) request.raw.socket.setTimeout(stalledAfterMs)
    return true
  }
  return open(content).then((handle) => {
    if (!handle) return false
    writeBodyHead(reply, source, content, part)
    request.raw.socket.setTimeout(stalledAfterMs)
    reply.send(streamOf(handle, part ?? { start: 0, end: size - 1 }, reply))
    return true
  })
}

/** Of the state of a file that the client gets or has. */
function writeHead(reply: FastifyReply, { file, status, cacheControl }: Source, content: Content): void {
  reply.code(status)
  const headers = headersOf(reply)
  headers["cache-control"] = cacheControl
  if (file.encodings.length > 0) vary(reply, "accept-encoding")
  if (status !== 200) return
  headers.etag = content.etag
  headers["last-modified"] = content.lastModified
}

/** Of the bytes of a file, or of those of a part. */
function writeBodyHead(reply: FastifyReply, source: Source, content: Content, part: Part | undefined): void {
  writeHead(reply, source, content)
  const headers = headersOf(reply)
  headers["content-type"] = content.contentType
  if (content.encoding) headers["content-encoding"] = content.encoding
  if (source.status === 200) headers["accept-ranges"] = "bytes"
  headers["content-length"] = part ? part.end + 1 - part.start : content.size
  if (!part) return
  reply.code(206)
  headers["content-range"] = `bytes ${part.start}-${part.end}/${content.size}`
}

/** The bytes of a large file. Fastify destroys the stream when the client hangs up, and that closes the file. */
function streamOf(handle: FileHandle, { start, end }: Part, reply: FastifyReply): Readable {
  const stream = handle.createReadStream({ start, end, highWaterMark: chunkSize })
  // A file that was cut meanwhile: the client must not take the next answer for the rest of this one.
  stream.once("end", () => stream.bytesRead < end + 1 - start && reply.raw.destroy())
  return stream
}

/** What the client gets of a file, by its Accept-Encoding. */
function contentFor(file: StaticFile, accepted: string | string[] | undefined): Content {
  if (file.encodings.length === 0) return file.plain
  const encoding = preferredEncoding(accepted?.toString(), file.encodings)
  return (encoding && file.encoded[encoding]) ?? file.plain
}

/** Others may have said before what the answer varies with. */
function vary(reply: FastifyReply, name: string): void {
  const before = reply.getHeader("vary")
  reply.header("vary", before ? `${before}, ${name}` : name)
}
