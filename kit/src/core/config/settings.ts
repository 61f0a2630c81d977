/** The schema as a flat list of settings, each with the names it is known by. */
import type { TObject, TSchema } from "typebox"
import { BootError } from "../errors.ts"
import type { SettingOptions } from "./kinds.ts"
import type { Words } from "./read.ts"
import { KitSchema } from "./schema.ts"

/** Sections by name: the kit's, or those that an application adds. */
export type Sections = Readonly<Record<string, TSchema>>

/** One key that can be set. */
export interface Setting {
  /** Its place in `config.json`: `["server", "port"]`. */
  path: readonly string[]
  /** The same in one word: `server.port`. */
  key: string
  /** Its environment variable: the path in capitals, unless the schema says otherwise. */
  env: string
  schema: TSchema & SettingOptions
  /** It has no default and must be given. */
  required: boolean
  /** Its value must not appear in a message. */
  secret: boolean
}

/** A value that a source gives for a setting. */
export interface Given {
  setting: Setting
  /** Where it stands: `config.json`, `.env line 3` or `environment`. */
  from: string
  /** What the setting is called there: `server.port` or `PORT`. */
  name: string
  value: unknown
  /** It is a text that stands for a value, as all in the environment are. */
  isText: boolean
}

/** What a source gives, and a sentence for each mistake in it. */
export interface Found {
  given: Given[]
  faults: string[]
}

const snakeCase = /^[a-z][a-z0-9]*(?:_[a-z0-9]+)*$/

// A schema that forgets `secret: true` on `smtp_password` must not put it into a log.
const soundsSecret = /(?:^|_)(?:password|passwd|pwd|passphrase|secret|token|key|credentials)$/

/** The environment variable that a path would have by rule: `["server", "port"]` is `SERVER_PORT`. */
export const envName = (path: readonly string[]): string => path.join("_").toUpperCase()

/** Says whether a schema is a group of settings. An optional object is not: it is one setting, given as a whole. */
export const isGroup = (schema: TSchema): schema is TObject => "properties" in schema && !("~optional" in schema)

/**
 * The kit's sections and the application's.
 * @throws BootError when a section has a name of the kit's, or is not an object
 */
export function allSections(own: Sections = {}): Sections {
  for (const [name, schema] of Object.entries(own)) {
    if (!isGroup(schema)) throw new BootError(`The configuration section "${name}" must be a Type.Object({ … }).`)
    if (Object.hasOwn(KitSchema.properties, name)) {
      throw new BootError(`The configuration section "${name}" belongs to the kit. Give yours another name.`)
    }
  }
  return { ...KitSchema.properties, ...own }
}

/**
 * Every setting of the sections, in the order of the schema.
 * @throws BootError when a name is not snake_case, or two settings would share an environment variable
 */
export function settingsOf(sections: Sections): Setting[] {
  const settings = Object.entries(sections).flatMap(([name, section]) => settingsIn(section, [name]))
  const taken = new Map<string, string>()
  for (const { env, key } of settings) {
    if (!/^[A-Z][A-Z0-9_]*$/.test(env)) throw new BootError(`The variable "${env}" of ${key} must be in capitals.`)
    const other = taken.get(env)
    if (other) {
      throw new BootError(
        `The settings ${other} and ${key} would share the environment variable ${env}. ` +
          `Rename one, or give it a variable of its own with { env: "…" } in its schema.`,
      )
    }
    taken.set(env, key)
  }
  return settings
}

function settingsIn(schema: TSchema & SettingOptions, path: readonly string[], within = false): Setting[] {
  const name = path.at(-1)!
  if (!snakeCase.test(name)) {
    throw new BootError(`The configuration key "${path.join(".")}" must be in snake_case, such as "page_size".`)
  }
  const all = within || schema.secret
  if (isGroup(schema)) {
    return Object.entries(schema.properties).flatMap(([name, inner]) => settingsIn(inner, [...path, name], all))
  }
  const setting = {
    path,
    key: path.join("."),
    env: schema.env ?? envName(path),
    schema,
    required: !("~optional" in schema) && schema.default === undefined,
    secret: within || holdsSecret(name, schema),
  }
  return [setting]
}

/** Says whether a setting, or anything inside a list or an object that is set as a whole, is secret. */
function holdsSecret(name: string, schema: TSchema & SettingOptions & Words): boolean {
  const { secret = soundsSecret.test(name), items, properties, anyOf = [] } = schema
  const inner = [...(items ? [items] : []), ...anyOf].some((one) => holdsSecret("", one))
  return secret || inner || Object.entries(properties ?? {}).some(([name, one]) => holdsSecret(name, one))
}
