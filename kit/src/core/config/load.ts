/** Loads the configuration: defaults < `config.json` < `.env` < environment. It is read once, at boot, and never written. */
import type { TSchema } from "typebox"
import { BootError } from "../errors.ts"
import { readConfigFile } from "./config-file.ts"
import { type Environment, readEnvironment } from "./environment.ts"
import { expectedOf, shown } from "./expected.ts"
import { fromText, isObject, Mismatch, read } from "./read.ts"
import type { Config } from "./schema.ts"
import { allSections, type Given, isGroup, type Sections, type Setting, settingsOf } from "./settings.ts"

/** Where {@link loadConfig} looks. */
export interface LoadOptions {
  /** The project's folder, which holds `config.json` and `.env`; either may be missing. */
  folder: string
  /** Default `process.env`. It is not changed. */
  env?: Environment
  /** The application's own sections, by name. */
  sections?: Sections
}

/** A setting as it is in force, for people to read. */
export interface EffectiveSetting {
  /** `server.port` */
  key: string
  /** Its environment variable. */
  env: string
  /** As it was written, `"20 seconds"`; undefined where it is not set; `"(secret)"` for secrets. */
  value: unknown
  /** `default`, `config.json`, `.env line 3` or `environment`. */
  from: string
}

const sources = ["default", "config.json", ".env", "environment"]

interface Value {
  setting: Setting
  from: string
  written: unknown
  value: unknown
}

/**
 * The checked configuration, deeply frozen.
 * @throws BootError that names every mistake in every source, and shows no secret
 * @example const config = loadConfig({ folder: process.cwd(), sections: app.sections })
 */
export function loadConfig(options: LoadOptions): Config {
  const sections = allSections(options.sections)
  const values = new Map(resolve(sections, options).map(({ setting, value }) => [setting.key, value]))
  // The values were checked against the schemas that the type comes from; the compiler cannot follow that.
  return build(sections, values, "") as Config
}

/** Each setting with its value and where it came from, secrets masked. */
export function effectiveSettings(options: LoadOptions): EffectiveSetting[] {
  return resolve(allSections(options.sections), options).map(({ setting, from, written }) => ({
    key: setting.key,
    env: setting.env,
    // To hide nothing would look as if something were set.
    value: setting.secret && !isNothing(written) ? "(secret)" : written,
    from,
  }))
}

const isNothing = (value: unknown): boolean => value === undefined || (Array.isArray(value) && value.length === 0)

function resolve(sections: Sections, { folder, env = process.env }: LoadOptions): Value[] {
  const settings = settingsOf(sections)
  const file = readConfigFile(folder, sections, settings)
  const environment = readEnvironment(folder, env, settings)
  const given = [...defaultsOf(settings), ...file.given, ...environment.given]
  const faults = [...file.faults, ...environment.faults]

  const values = new Map<Setting, Value>()
  // The later overwrites the earlier, but each is checked: a mistake does not wait until it is uncovered.
  for (const one of given) {
    const { setting, from, value, isText } = one
    try {
      const written = isText ? fromText(setting.schema, value as string) : value
      values.set(setting, { setting, from, written, value: read(setting.schema, written) })
    } catch (error) {
      if (!(error instanceof Mismatch)) throw error
      faults.push(sentence(one, error))
    }
  }
  for (const setting of settings) {
    const { key, env: name, required } = setting
    if (given.some((one) => one.setting === setting)) continue
    if (required) faults.push(`${key} is missing. Set ${name}, or ${key} in config.json.`)
    values.set(setting, { setting, from: "default", written: undefined, value: undefined })
  }

  if (faults.length > 0) {
    const title = faults.length === 1 ? "a mistake" : `${faults.length} mistakes`
    faults.sort((a, b) => rank(a) - rank(b) || lineOf(a) - lineOf(b))
    throw new BootError(`The configuration has ${title}:\n${faults.map((fault) => `  - ${fault}`).join("\n")}`)
  }
  return settings.map((setting) => values.get(setting)!)
}

/** The defaults pass the same checks and decoders as all else, so a schema may say "20 seconds" too. */
function defaultsOf(settings: readonly Setting[]): Given[] {
  const withDefault = settings.filter(({ schema }) => schema.default !== undefined)
  return withDefault.map((setting) => {
    return { setting, from: "default", name: setting.key, value: setting.schema.default, isText: false }
  })
}

/** One mistake in full: where it stands, the key, what was expected, what came, and what to do. */
function sentence({ setting, from, name, value, isText }: Given, { at, schema: wanted, came, told }: Mismatch): string {
  const { key, required, secret, schema } = setting
  const isWhole = isText && at === ""
  // A decoder may quote what it got, as JSON.parse does, so of a secret's decoder nothing is told.
  const expected = (!secret && told) || expectedOf(wanted, isWhole)
  const what = `${from}: ${name}${at}${isText ? ` (${key})` : ""} must be ${expected}`
  const without = schema.default === undefined || secret ? "" : ` for ${JSON.stringify(schema.default)}`
  const remedy =
    from === "default" ? "Correct the schema" : `Correct it${required ? "" : `, or leave it out${without}`}`
  return `${what}, but is ${shown(isWhole ? value : came, secret)}. ${remedy}.`
}

/** Mistakes stand in the order of their sources; what is missing comes last. */
function rank(fault: string): number {
  const place = sources.findIndex((source) => fault.startsWith(source))
  return place < 0 ? sources.length : place
}

const lineOf = (fault: string): number => Number(/^\.env line (\d+)/.exec(fault)?.[1] ?? 0)

function build(schemas: Readonly<Record<string, TSchema>>, values: Map<string, unknown>, prefix: string): object {
  const entries = Object.entries(schemas).map(([name, schema]) => {
    const key = `${prefix}${name}`
    return [name, isGroup(schema) ? build(schema.properties, values, `${key}.`) : freeze(values.get(key))] as const
  })
  return Object.freeze(Object.fromEntries(entries))
}

function freeze(value: unknown): unknown {
  // Only what JSON is made of: a decoder may have made a Buffer, which cannot be frozen.
  const isPlain = Array.isArray(value) || (isObject(value) && Object.getPrototypeOf(value) === Object.prototype)
  if (!isPlain) return value
  for (const inner of Object.values(value)) freeze(inner)
  return Object.freeze(value)
}
