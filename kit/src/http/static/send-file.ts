/** One file as an answer: not again to whoever has it, or a part of it, from memory or as a stream. */
import type { FileHandle } from "node:fs/promises"
import type { Readable } from "node:stream"
import type { FastifyReply, FastifyRequest } from "fastify"
import { HttpError } from "../../core/errors.ts"
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

/** About what fits into the buffers of a connection: more waits for the client. */
const largestAtOnce = 65_536

/** A client that takes nothing for so long is given up. As long as it takes something it may be as slow as it is. */
const stalledAfterMs = 60_000

/** How much of a large file is read at once: a quarter of the reads that Node's 64 kB would need. */
const chunkSize = 262_144

/** Answers; false when the file changed since it was looked at and nothing was sent. */
export async function sendFile(request: FastifyRequest, reply: FastifyReply, source: Source): Promise<boolean> {
  const { file, status, cacheControl, open } = source
  const content = contentFor(file, request.headers["accept-encoding"])
  const { size, body } = content
  const isFound = status === 200
  const isHead = request.method === "HEAD"
  if (isFound && isRefused(request.headers, content)) {
    throw new HttpError(412, "The file is not in the state that If-Match or If-Unmodified-Since asks for.")
  }
  const isKnown = isFound && isUnchanged(request.headers, content)
  const part = isFound && !isHead && !isKnown ? partOf(request.headers, size, content) : undefined
  if (part === "unsatisfiable") {
    throw new HttpError(416, `The file has ${size} bytes.`, { headers: { "content-range": `bytes */${size}` } })
  }
  const handle = body || isHead || isKnown ? undefined : await open(content)
  if (!body && !handle && !isHead && !isKnown) return false

  reply.code(status).header("cache-control", cacheControl)
  if (file.encodings.length > 0) vary(reply, "accept-encoding")
  if (isKnown) {
    reply.code(304).headers({ etag: content.etag, "last-modified": content.lastModified }).send()
    return true
  }
  reply.header("content-type", content.contentType)
  if (content.encoding) reply.header("content-encoding", content.encoding)
  if (isFound) {
    reply.headers({ etag: content.etag, "last-modified": content.lastModified, "accept-ranges": "bytes" })
  }
  const { start, end } = part ?? { start: 0, end: size - 1 }
  const length = end + 1 - start
  if (part) reply.code(206).header("content-range", `bytes ${start}-${end}/${size}`)
  reply.header("content-length", length)
  if (length > largestAtOnce) request.raw.socket.setTimeout(stalledAfterMs)

  if (isHead) reply.send()
  else if (body) reply.send(part ? body.subarray(start, end + 1) : body)
  else reply.send(streamOf(handle!, { start, end }, reply))
  return true
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
