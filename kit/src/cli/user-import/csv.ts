/** CSV as RFC 4180 has it: cells in quotes may hold commas, line breaks and doubled quotes. Read as it comes. */
import { BootError } from "../../core/errors.ts"
import { longestRow, type Row } from "./row.ts"

/** The rows below the first one, whose cells are their names. Rows that are empty are none. */
export async function* readCsv(chunks: AsyncIterable<string>): AsyncGenerator<Row> {
  let names: string[] | undefined
  for await (const { line, cells, mistake } of records(chunks)) {
    if (!names) {
      names = cells.map(nameOf)
      checkNames(names)
    } else if (mistake) {
      yield { line, mistake }
    } else if (cells.length !== names.length) {
      yield { line, mistake: `it has ${cells.length} values, and the first line has ${names.length} names` }
    } else {
      yield { line, values: Object.fromEntries(names.map((name, i) => [name, cells[i]])) }
    }
  }
}

/** `"First Name"` is `first_name`. */
const nameOf = (cell: string): string => cell.trim().toLowerCase().replace(/\s+/g, "_")

/** What stands there is not repeated: without names it is somebody's row. */
function checkNames(names: string[]): void {
  if (!names.includes("email")) {
    const separator = names.length === 1 && /[;\t]/.test(names[0]!) ? " Its values are to be separated by commas." : ""
    throw new BootError(`The first line of the file names no column "email".${separator} Write: email,password,role`)
  }
  const twice = names.find((name, i) => name !== "" && names.indexOf(name) !== i)
  if (twice) throw new BootError(`The first line of the file names the column "${twice}" twice. Remove one.`)
}

interface CsvRecord {
  /** Where it begins. */
  line: number
  cells: string[]
  mistake?: string | undefined
}

async function* records(chunks: AsyncIterable<string>): AsyncGenerator<CsvRecord> {
  let place: "start" | "plain" | "quoted" | "closed" = "start"
  let record: CsvRecord = { line: 1, cells: [] }
  let cell = ""
  let line = 1
  let length = 0

  const endCell = () => {
    record.cells.push(cell)
    cell = ""
    place = "start"
  }
  /** The record that ends here, unless it is an empty line. */
  const endRecord = (): CsvRecord | undefined => {
    // Of CR LF the CR has been taken for a letter.
    if (place === "plain" && cell.endsWith("\r")) cell = cell.slice(0, -1)
    const isEmpty = record.cells.length === 0 && cell === "" && place !== "closed"
    endCell()
    const ended = record
    record = { line: line + 1, cells: [] }
    length = 0
    return isEmpty ? undefined : ended
  }

  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; ) {
      const from = at
      if (place === "quoted") {
        at = endOf(chunk, '"', from)
        cell += chunk.slice(from, at)
        for (let i = chunk.indexOf("\n", from); i >= 0 && i < at; i = chunk.indexOf("\n", i + 1)) line++
        if (at < chunk.length) {
          place = "closed"
          at++
        }
      } else {
        const sign = chunk[at++]
        if (sign === ",") endCell()
        else if (sign === "\n") {
          const ended = endRecord()
          line++
          if (ended) yield ended
        } else if (sign === '"' && place !== "plain") {
          if (place === "closed") cell += '"'
          place = "quoted"
        } else if (place !== "closed" || sign !== "\r") {
          if (place === "closed")
            record.mistake = "a quote ends in the middle of a value; inside quotes it is written twice"
          place = "plain"
          at = endOfPlain(chunk, from)
          cell += chunk.slice(from, at)
        }
      }
      length += at - from
      if (length > longestRow) {
        throw new BootError(`The row in line ${record.line} does not end. Is there a quote that is not closed?`)
      }
    }
  }
  if ((place as string) === "quoted")
    record.mistake = "a quote begins that is never closed, so all to the end of the file is in it"
  const last = endRecord()
  if (last) yield last
}

const endOf = (text: string, sign: string, from: number): number => {
  const found = text.indexOf(sign, from)
  return found < 0 ? text.length : found
}

/** Where a cell without quotes ends. */
function endOfPlain(text: string, from: number): number {
  let at = from
  while (at < text.length && text[at] !== "," && text[at] !== "\n") at++
  return at
}
