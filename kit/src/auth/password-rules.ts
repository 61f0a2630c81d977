/**
 * What a password must be like: long enough, and not among the first that an attacker would try. Everything else is the user's
 * choice, spaces and any script included (NIST SP 800-63B, section 3.1.1.2).
 */
import { commonWords } from "./common-passwords.ts"
import { fold } from "./fold.ts"
import { countParts, unitOf } from "./password-patterns.ts"
import { maxPasswordLength } from "./passwords.ts"

/** What the `accounts` section of the configuration says of passwords. */
export interface PasswordRules {
  /** In characters, that is code points. */
  minLength: number
  /** Whether a lower-case letter, an upper-case one and a digit are needed, as RESTPie3 asked for. */
  needsMixed: boolean
}

/** In characters. Enough for any sentence; more would only cost time. */
const maxLength = 128

/** So many parts make no password: "aaaaaaaa", "abcd1234", "qweasdzxc". */
const tooFewParts = 3

/** What may stand around a common word without making it a good password: "Summer2024!", "password12345678". */
const partsAroundWord = 8

/** What may stand beside the user's own name or address without making it one: "jsmith2024!". */
const partsBesideName = 5

/** A password that only repeats so many characters is no better than these. */
const shortUnit = 4

/** Says what is wrong with a new password and what to do, in a sentence or two; undefined when nothing is. */
export function checkPassword(
  password: string,
  rules: PasswordRules,
  about: { email?: string; names?: string[] } = {},
): string | undefined {
  if (password.length > maxPasswordLength) return tooLong
  const length = [...password.normalize("NFC")].length
  if (length > maxLength) return tooLong
  if (length < rules.minLength) {
    return `A password has at least ${rules.minLength} characters. Add more: several words are easy to remember.`
  }
  // A lone half of a character becomes another when it is stored, and control characters cannot be typed.
  if (!password.isWellFormed() || /\p{Cc}/u.test(password)) {
    return "The password contains line breaks, tabs or other control characters. Leave them out."
  }
  const missing = rules.needsMixed ? missingKinds(password) : []
  if (missing.length > 0) return `A password needs ${list(missing)}. Add ${missing.length > 1 ? "them" : "one"}.`
  const plain = fold(password)
  if (isSimple(plain)) return "The password is a simple pattern, which is easy to guess. Choose several words instead."
  if (isCommon(plain)) return "The password is one of the first that are guessed. Choose several words instead."
  if (isAbout(plain, about)) return "The password is too much like your e-mail address or name. Choose something else."
  return undefined
}

const tooLong = `A password has at most ${maxLength} characters. Shorten it.`

const kinds: [RegExp, string][] = [
  [/\p{Ll}/u, "a lower-case letter"],
  [/\p{Lu}/u, "an upper-case letter"],
  [/\p{Nd}/u, "a digit"],
]
const missingKinds = (password: string) => kinds.filter(([kind]) => !kind.test(password)).map(([, name]) => name)
const list = (names: string[]) => [names.slice(0, -1).join(", "), names.at(-1)].filter(Boolean).join(" and ")

function isSimple(plain: string): boolean {
  return countParts(plain) <= tooFewParts || unitOf(plain).length <= shortUnit
}

function isCommon(plain: string): boolean {
  // Digits at the ends may stand for letters or not: "5unshine" and "sunshine5".
  const letters = /^([^\p{L}]*)(.*?)([^\p{L}]*)$/su.exec(unitOf(plain))
  const [, before = "", middle = "", after = ""] = letters ?? []
  if (countParts(before + after) > partsAroundWord) return false
  return [middle, before + middle, middle + after, before + middle + after]
    .flatMap(spellings)
    .some((text) => commonWords.has(unitOf(onlyLettersAndDigits(text))))
}

/** What digits and signs stand for when they replace letters; "1" is "i" to some and "l" to others. */
const letterFor: Record<string, string> = {
  ...{ 0: "o", 1: "i", 3: "e", 4: "a", 5: "s", 6: "g", 7: "t", 8: "b", 9: "g" },
  ...{ "@": "a", $: "s", "!": "i", "|": "l", "+": "t", "€": "e", "(": "c" },
}

/** The text as words are written: as it is, and with letters for the digits and signs that stand for them. */
function spellings(text: string): string[] {
  const read = (as: Record<string, string>) => text.replace(/[^\p{L}]/gu, (sign) => as[sign] ?? sign)
  return [text, read(letterFor), read({ ...letterFor, 1: "l", "!": "l" })]
}

const onlyLettersAndDigits = (text: string) => text.replace(/[^\p{L}\p{N}]/gu, "")

/** Whether little is left of it without the words of the address and the names. */
function isAbout(plain: string, { email = "", names = [] }: { email?: string; names?: string[] }): boolean {
  const address = fold(email.slice(0, 320))
  // The end of an address, as in ".com", is nobody's own.
  const own = [address.replace(/\.[^.@]*$/, ""), ...names.map((name) => fold(name.slice(0, 320)))]
  const words = own
    .flatMap((text) => [onlyLettersAndDigits(text), ...(text.match(/\p{L}+|\p{N}+/gu) ?? [])])
    .filter((word) => word.length >= 3)
    .sort((a, b) => b.length - a.length)
  return spellings(plain).some((spelling) => {
    const beside = address === "" ? spelling : spelling.replaceAll(address, "")
    const rest = words.reduce((left, word) => left.replaceAll(word, ""), onlyLettersAndDigits(beside))
    const signs = beside.replace(/[\p{L}\p{N}]/gu, "")
    const isFound = rest !== onlyLettersAndDigits(spelling)
    return isFound && countParts(rest) + countParts(signs) <= partsBesideName
  })
}
