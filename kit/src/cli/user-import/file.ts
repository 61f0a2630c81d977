/** The rows of a file of accounts, in CSV or JSON, read one after the other: the file may be of any size. */
import { createReadStream } from "node:fs"
import { BootError } from "../../core/errors.ts"
import { readCsv } from "./csv.ts"
import { readJsonArray, readJsonLines } from "./json.ts"
import type { Row } from "./row.ts"

/**
 * Reads the rows of a file. What begins with `[` or `{` is JSON, whatever its name.
 * @throws BootError for a file that cannot be read, or not as a whole; the rows before that place have come
 */
export async function* readRows(file: string): AsyncGenerator<Row> {
  const chunks = textOf(file)
  const { first, rest } = await firstOf(chunks)
  if (first === undefined) throw new BootError(`${file} is empty.`)
  const begin = first.trimStart()[0]
  yield* begin === "[" ? readJsonArray(rest) : begin === "{" ? readJsonLines(rest) : readCsv(rest)
}

/** The text of a file, without the mark that some programs put before it. */
async function* textOf(file: string): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true })
  try {
    for await (const bytes of createReadStream(file)) yield decoder.decode(bytes, { stream: true })
    yield decoder.decode()
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    if (code === "ENOENT") throw new BootError(`There is no file ${file}.`, { cause })
    if (code === "ERR_ENCODING_INVALID_ENCODED_DATA") {
      throw new BootError(`${file} is not UTF-8. Save it as UTF-8, or convert it: iconv -f latin1 -t utf-8`, { cause })
    }
    throw new BootError(`${file} cannot be read: ${message}`, { cause })
  }
}

/** The first text that is more than space, and all of them. */
async function firstOf(chunks: AsyncGenerator<string>) {
  let first = ""
  while (first.trim() === "") {
    const { value, done } = await chunks.next()
    if (done) return { first: undefined, rest: chunks }
    first += value
  }
  async function* all() {
    yield first
    yield* chunks
  }
  return { first, rest: all() }
}
