/** How little it takes to say a password: "aaaaaaaa", "abcd1234" and "1qaz2wsx" are short to say, however long they are. */
import { fold } from "./fold.ts"

/** What a hand walks along: rows and columns of keyboards, Latin and Russian, and of the number pad. */
const digits = "1234567890"
const shifted = "!@#$%^&*()"
const qwerty = ["qwertyuiop[]", "asdfghjkl;'", "zxcvbnm,./"]
const others = [
  "qwertzuiop",
  "yxcvbnm",
  "azertyuiop",
  "qsdfghjklm",
  "wxcvbn",
  "йцукенгшщзхъ",
  "фывапролджэ",
  "ячсмитьбю",
]
const columns = [...digits].flatMap((_, i) =>
  [digits, shifted].map((top) => [top, ...qwerty].map((row) => row[i] ?? "").join("")),
)
const numberPad = ["147", "258", "369", "159", "357", "7894561230", "147896325", "123698745"]
const forwards = [`0${digits}`, shifted, ...qwerty, ...others, ...columns, ...numberPad]
const walks = [...forwards, ...forwards.map((walk) => [...walk].reverse().join(""))].map(fold)

/** Shorter ones are also in words. */
const shortestRun = 3

/**
 * How many things there are to know in a folded text: a run, in which each character repeats the one before, or follows
 * it in an alphabet ("bcd", "135") or on a keyboard, is one; so is each character that is in none.
 */
export function countParts(text: string): number {
  const characters = [...text]
  const taken = countRuns(characters)
  if (characters.length < 2 * shortestRun) return taken
  // "1q2w3e4r" and "112233": two runs, taken in turn.
  const inTurn = [0, 1].map((offset) => countRuns(characters.filter((_, i) => i % 2 === offset)))
  return Math.min(taken, inTurn[0]! + inTurn[1]!)
}

function countRuns(characters: string[]): number {
  let parts = 0
  for (let at = 0; at < characters.length; parts++) {
    const length = runAt(characters, at)
    at += length >= shortestRun ? length : 1
  }
  return parts
}

function runAt(characters: string[], start: number): number {
  const first = characters[start]!.codePointAt(0)!
  const lengths = [1, 2, 0, -1, -2].map((step) =>
    lengthOf((i) => characters[start + i]?.codePointAt(0) === first + i * step, characters.length - start),
  )
  for (const walk of walks) {
    const at = walk.indexOf(characters[start]!)
    if (at >= 0) lengths.push(lengthOf((i) => walk[at + i] === characters[start + i], walk.length - at))
  }
  return Math.max(...lengths)
}

/** For how many numbers from 0 something holds. */
function lengthOf(holds: (i: number) => boolean, most: number): number {
  let length = 0
  while (length < most && holds(length)) length++
  return length
}

/** What a text repeats: "ab" of "ababab"; the text itself when it repeats nothing. */
export function unitOf(text: string): string {
  // A text that repeats something is found inside two of itself, past the beginning.
  return text.slice(0, (text + text).indexOf(text, 1))
}
