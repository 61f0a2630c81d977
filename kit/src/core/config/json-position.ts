/**
 * Where a JSON text breaks. `JSON.parse` tells the position only for some mistakes, and quotes the text around it, which
 * may be a password. Used only after it has failed.
 */

const space = /[ \t\n\r]*/y
const string = /"(?:[^"\\\p{Cc}]|[\x7f-\x9f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/uy
const scalar = /(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w.+-])/y

/** A mistake in a JSON text. */
export interface JsonBreak {
  /** From 1. */
  line: number
  /** From 1. */
  column: number
  /** What should stand there. */
  expected: string
}

/** The first mistake of a JSON text, or undefined where there is none. */
export function findJsonBreak(text: string): JsonBreak | undefined {
  let position = 0
  const skip = (pattern: RegExp): boolean => {
    pattern.lastIndex = position
    if (!pattern.test(text)) return false
    position = pattern.lastIndex
    return true
  }
  const next = (character: string): boolean => {
    skip(space)
    if (text[position] !== character) return false
    position++
    return true
  }
  const need = (met: boolean, expected: string): void => {
    if (!met) throw new SyntaxError(expected)
  }

  const members = (close: string, member: () => void): void => {
    if (next(close)) return
    do member()
    while (next(","))
    need(next(close), `"," or "${close}"`)
  }
  const value = (): void => {
    if (next("{")) members("}", property)
    else if (next("[")) members("]", value)
    else need(skip(string) || skip(scalar), "a value (a text needs double quotes)")
  }
  const property = (): void => {
    skip(space)
    need(skip(string), "a key in double quotes")
    need(next(":"), `":"`)
    value()
  }

  try {
    value()
    skip(space)
    need(position === text.length, "the end of the file")
    return undefined
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    const before = text.slice(0, position).split("\n")
    return { line: before.length, column: before.at(-1)!.length + 1, expected: error.message }
  }
}
