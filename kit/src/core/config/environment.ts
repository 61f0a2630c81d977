/**
 * `.env` and the environment. Both hold names of other programs, so only a name that is nearly one of ours is a mistake.
 * `.env` is read, never written into `process.env`: child processes get what the shell gave, and nothing else.
 */
import { join } from "node:path"
import { parseEnv } from "node:util"
import { editDistance } from "../suggest.ts"
import { readText } from "./config-file.ts"
import { envName, type Found, type Given, type Setting } from "./settings.ts"

/** Names and values, as `process.env` has them. */
export type Environment = Readonly<Record<string, string | undefined>>

/** What `.env` and the environment set, the environment last. */
export function readEnvironment(folder: string, env: Environment, settings: readonly Setting[]): Found {
  const faults: string[] = []
  const text = readText(join(folder, ".env"), ".env", faults) ?? ""
  const file = parseEnv(text)
  const lines = text.split("\n").map((line) => /^\s*(?:export\s+)?(\w+)\s*(=?)/.exec(line) ?? [])
  const place = (name: string, sign: string): string => {
    const line = lines.findLastIndex(([, found, equals]) => found === name && equals === sign)
    return line < 0 ? ".env" : `.env line ${line + 1}`
  }

  const known = new Set(settings.map((setting) => setting.env))
  const given: Given[] = []
  const collect = (names: Environment, strict: boolean, from: (name: string) => string): void => {
    for (const setting of settings) {
      const value = names[setting.env]
      // Empty means unset: Docker Compose and most CI systems cannot take a variable away, only empty it.
      if (value) given.push({ setting, from: from(setting.env), name: setting.env, value, isText: true })
    }
    for (const [name, value] of Object.entries(names)) {
      const meant = value && !known.has(name) && meantBy(name, value, settings, strict)
      // With the right name set as well, the other one is somebody else's.
      if (!meant || env[meant] || file[meant]) continue
      faults.push(`${from(name)}: ${name} is unknown. Did you mean ${meant}? Rename it, or remove it.`)
    }
  }
  collect(file, true, (name) => place(name, "="))
  collect(env, false, () => "environment")
  // Node's parser skips such a line without a word.
  for (const { env: name } of settings) {
    const isLost = file[name] === undefined && lines.some(([, found, equals]) => found === name && equals === "")
    if (isLost) faults.push(`${place(name, "")}: ${name} must be followed by "=" and its value.`)
  }
  return { given, faults }
}

/**
 * The variable that an unknown name probably means: the same in other letters, a slip of the finger, or the name that
 * the rule would give to a setting whose variable is called otherwise (`SERVER_PORT` for `PORT`).
 * @param strict the name stands in `.env`, which is the project's own
 */
function meantBy(name: string, value: string, settings: readonly Setting[], strict: boolean): string | undefined {
  const byRule = settings.find(({ path }) => envName(path) === name)
  // Kubernetes sets SERVER_PORT=tcp://10.0.0.1:80 for a service that is called "server".
  if (byRule) return /^(?:tcp|udp|sctp):\/\//.test(value) ? undefined : byRule.env
  const capitals = name.toUpperCase()
  return settings.find(({ env }) => {
    const allowed = editsAllowed(env, strict)
    return Math.abs(env.length - name.length) <= allowed && editDistance(capitals, env) <= allowed
  })?.env
}

/**
 * How many slips a name may have and still be taken for `known`. The shorter, the more somebody else's names are near:
 * HOME is two letters from HOST, and POST one from PORT. Every environment has HOME; a stray PORTS is not worth a boot.
 */
function editsAllowed(known: string, strict: boolean): number {
  if (known.length < 6) return strict ? 1 : -1
  return known.length < 10 ? 1 : 2
}
