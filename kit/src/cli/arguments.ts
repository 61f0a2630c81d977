/** Finds the command that is called, and reads what follows it; a message about a mistake ends with the usage. */
import { type ParseArgsConfig, parseArgs } from "node:util"
import { BootError } from "../core/errors.ts"
import { closest, didYouMean } from "../core/suggest.ts"
import type { Arguments } from "./command.ts"
import { type Command, commands } from "./commands.ts"

const shown = Object.entries(commands).filter(([, { does }]) => does !== undefined)

/** The usage of the command that the words name, or of all that begin with the first of them, or of every one. */
export function usage([first = "", second = ""]: string[] = []): string {
  const begins = (phrase: string) => shown.filter(([name]) => `${name} `.startsWith(`${phrase} `))
  const found = [begins(`${first} ${second}`), begins(first)].find((those) => those.length > 0)
  if (found) return found.map(usageOf).join("\n")
  const others = [
    line("trestle node ARGS", "runs the Node that Trestle runs on"),
    line("trestle help [COMMAND]", "says this, or what one command takes"),
    line("trestle --version", "says which version this is"),
  ]
  return [...shown.map(usageOf), ...others].join("\n")
}

function usageOf([name, { does = "", words, rest, flags = {} }]: [string, Command]): string {
  const call = ["trestle", name, words, rest].filter(Boolean).join(" ")
  return [line(call, does), ...Object.entries(flags).map(([flag, does]) => line(`  --${flag}`, does))].join("\n")
}

const line = (call: string, does: string) => `${call.padEnd(30)}${does}`

/** The command of a command line: one word, `start`, or two, `token new`. */
export function findCommand([first = "", second = ""]: string[]): string {
  const found = [first, `${first} ${second}`].find((name) => Object.hasOwn(commands, name))
  if (found) return found
  const phrases = shown.map(([name]) => name.split(" "))
  const actions = phrases.filter(([word]) => word === first).map(([, action = ""]) => action)
  if (actions.length === 0) {
    const names = phrases.map(([word = ""]) => word)
    const meant = closest(first, names)
    // Below the usage of all commands the message would be out of sight.
    const more = meant ? usage([meant]) : "To see all commands: npx trestle help"
    throw new BootError(`There is no command "${first}".${didYouMean(first, names)}\n${more}`)
  }
  if (second === "" || second.startsWith("-")) throw new BootError(`Say what to do:\n${usage([first])}`)
  throw new BootError(`There is no "${first} ${second}".${didYouMean(second, actions)}\n${usage([first])}`)
}

/** @throws BootError for a flag or a word that the command does not take, and for one that it lacks */
export function readArguments(name: string, args: string[]): Arguments {
  const { words: wordNames = "", rest, flags = {} } = commands[name]!
  if (rest !== undefined) return { words: args, flags: {} }
  const refuse = (mistake: string) => new BootError(`${mistake}\n${usage(name.split(" "))}`)

  const known = Object.keys(flags).map((flag) => flag.split(" ") as [name: string, value?: string])
  const options: NonNullable<ParseArgsConfig["options"]> = {}
  for (const [flag, value] of known) options[flag] = { type: value ? "string" : "boolean" }
  const { tokens, positionals: words } = parseArgs({
    args,
    options,
    allowPositionals: true,
    strict: false,
    tokens: true,
  })
  const given: Arguments["flags"] = {}
  for (const token of tokens) {
    if (token.kind !== "option") continue
    const { rawName, value, inlineValue } = token
    const found = known.find(([flag]) => `--${flag}` === rawName)
    if (!found) {
      const names = known.map(([flag]) => `--${flag}`)
      throw refuse(`There is no ${rawName}.${didYouMean(rawName, names)}`)
    }
    const [flag, wanted] = found
    if (!wanted && inlineValue) throw refuse(`${rawName} takes no value.`)
    if (wanted && (!value || (value.startsWith("-") && !inlineValue))) {
      throw refuse(`${wanted} is missing after ${rawName}.`)
    }
    given[flag] = value ?? true
  }
  const wantedWords = wordNames.split(" ").filter(Boolean)
  const extra = words[wantedWords.length]
  if (extra !== undefined) throw refuse(`"${extra}" is one word too many.`)
  const missing = wantedWords[words.length]
  if (missing !== undefined) throw refuse(`${missing} is missing.`)
  return { words, flags: given }
}
