/** The password of an account that a command makes or changes: a given one, or one made by chance. */
import { randomInt } from "node:crypto"
import { text } from "node:stream/consumers"
import { checkPassword } from "../auth/password-rules.ts"
import type { Config } from "../core/config/index.ts"
import { BootError } from "../core/errors.ts"

type Settings = Pick<Config["accounts"], "password_min_length" | "password_needs_mixed">
/** Whose password it is. */
type Owner = { email: string; names: string[] }

/** What is piped in, without the line break at its end. */
export async function readPassword(): Promise<string> {
  if (process.stdin.isTTY) {
    throw new BootError(
      '--password-stdin takes it from a pipe or a file, as in: printf %s "$PASSWORD" | npx trestle user …',
    )
  }
  return (await text(process.stdin)).replace(/\r?\n$/, "")
}

/**
 * The given password, or one made by chance.
 * @throws BootError for one that signup would refuse
 */
export function newPassword(given: string | undefined, settings: Settings, about: Owner): string {
  if (given === undefined) return randomPassword(settings, about)
  const mistake = check(given, settings, about)
  if (mistake) throw new BootError(mistake)
  return given
}

/** Letters and digits that nobody takes for another. */
const signs = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
const groupLength = 5
/** 116 bits. */
const groupsAtLeast = 4

/** A password that nobody guesses, and that the rules allow: `x4Kd9-…`. */
function randomPassword(settings: Settings, about: Owner): string {
  const groups = Math.max(groupsAtLeast, Math.ceil((settings.password_min_length + 1) / (groupLength + 1)))
  const group = () => Array.from({ length: groupLength }, () => signs[randomInt(signs.length)]).join("")
  for (;;) {
    const password = Array.from({ length: groups }, group).join("-")
    // One in twenty has no digit, which the rules may want.
    if (!check(password, settings, about)) return password
  }
}

const check = (password: string, settings: Settings, about: Owner) =>
  checkPassword(password, { minLength: settings.password_min_length, needsMixed: settings.password_needs_mixed }, about)
