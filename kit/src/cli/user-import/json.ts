/** Objects in JSON, one on each line or all in one array. Read as they come. */
import { BootError } from "../../core/errors.ts"
import { longestRow, type Row } from "./row.ts"

/** The objects of a text that has one on each line. */
export async function* readJsonLines(chunks: AsyncIterable<string>): AsyncGenerator<Row> {
  let line = 1
  let rest = ""
  for await (const chunk of chunks) {
    const lines = (rest + chunk).split("\n")
    rest = lines.pop()!
    for (const text of lines) {
      if (text.trim() !== "") yield readObject(text, line)
      line++
    }
    if (rest.length > longestRow)
      throw new BootError(`Line ${line} of the file does not end. Write one object on each.`)
  }
  if (rest.trim() !== "") yield readObject(rest, line)
}

/** The objects of a text that is one array of them. */
export async function* readJsonArray(chunks: AsyncIterable<string>): AsyncGenerator<Row> {
  let line = 1
  let depth = 0
  let isText = false
  let isEscaped = false
  let isOver = false
  /** What has been read of an object, and where it began. */
  let begun = ""
  let began = 1

  for await (const chunk of chunks) {
    let from = 0
    for (let at = 0; at < chunk.length; at++) {
      const sign = chunk[at]!
      if (sign === "\n") line++
      if (isText) {
        if (isEscaped) isEscaped = false
        else if (sign === "\\") isEscaped = true
        else if (sign === '"') isText = false
      } else if (isOver) {
        if (/\S/.test(sign)) throw notObjects(line)
      } else if (sign === "{" || sign === "[") {
        if (depth === 1 && sign === "[") throw notObjects(line)
        if (depth === 1) {
          from = at
          began = line
        }
        depth++
      } else if (sign === "}" || sign === "]") {
        depth--
        if (depth === 1) {
          yield readObject(begun + chunk.slice(from, at + 1), began)
          begun = ""
        }
        isOver = depth === 0
      } else if (depth > 1) {
        isText = sign === '"'
      } else if (!/[\s,]/.test(sign)) {
        throw notObjects(line)
      }
    }
    if (depth > 1) begun += chunk.slice(from)
    if (begun.length > longestRow) throw new BootError(`The object in line ${began} of the file does not end.`)
  }
  if (depth > 0)
    throw new BootError(`The array does not end: the file is cut off in line ${line}, or a bracket is missing.`)
}

const notObjects = (line: number) =>
  new BootError(`Line ${line} of the file: an array of objects was expected, and nothing but it.`)

/** Node's own message is not passed on: it repeats what stands there, a hash perhaps. */
function readObject(text: string, line: number): Row {
  try {
    const values = JSON.parse(text)
    if (typeof values === "object" && values !== null && !Array.isArray(values)) return { line, values }
  } catch {}
  return { line, mistake: "it is no object in JSON" }
}
