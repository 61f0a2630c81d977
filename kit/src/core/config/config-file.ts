/** `config.json`: strict, because it is ours alone. Whatever it says that no setting knows is a mistake. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import type { TSchema } from "typebox"
import { closest } from "../suggest.ts"
import { kindOf } from "./expected.ts"
import { findJsonBreak } from "./json-position.ts"
import { isObject } from "./read.ts"
import { type Found, type Given, isGroup, type Sections, type Setting } from "./settings.ts"

const from = "config.json"

/** What the file sets. A missing file sets nothing. */
export function readConfigFile(folder: string, sections: Sections, settings: readonly Setting[]): Found {
  const faults: string[] = []
  const given: Given[] = []
  const byKey = new Map(settings.map((setting) => [setting.key, setting]))

  const walk = (object: Record<string, unknown>, schemas: Record<string, TSchema>, path: readonly string[]): void => {
    for (const [name, value] of Object.entries(object)) {
      const key = [...path, name].join(".")
      const schema = Object.hasOwn(schemas, name) ? schemas[name] : undefined
      const setting = byKey.get(key)
      if (!schema) faults.push(`${from}: ${key} is unknown. ${adviceFor(name, path, Object.keys(schemas), settings)}`)
      else if (setting) given.push({ setting, from, name: key, value, isText: false })
      else if (isGroup(schema) && isObject(value)) walk(value, schema.properties, [...path, name])
      else faults.push(`${from}: ${key} must be an object, but is ${kindOf(value)}. Write "${name}": { … }.`)
    }
  }

  const text = readText(join(folder, from), from, faults)
  if (text === undefined) return { faults, given }
  let content: unknown
  try {
    content = JSON.parse(text)
  } catch {
    const mistake = findJsonBreak(text)
    const place = mistake ? `line ${mistake.line}, column ${mistake.column}: expected ${mistake.expected}` : "not JSON"
    return { faults: [`${from} ${place}. The file is plain JSON, without comments and trailing commas.`], given }
  }
  if (isObject(content)) walk(content, sections, [])
  else faults.push(`${from} must hold an object, such as { "server": { "port": 8100 } }.`)
  return { faults, given }
}

/** A text file without its byte order mark, which Windows editors add; undefined where there is none to read. */
export function readText(file: string, name: string, faults: string[]): string | undefined {
  try {
    return readFileSync(file, "utf8").replace(/^\uFEFF/, "")
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== "ENOENT") faults.push(`${name} cannot be read (${code}). Correct its permissions, or remove it.`)
    return undefined
  }
}

/** What to do about an unknown key: the name it resembles here, else the place where it belongs, else all names here. */
function adviceFor(name: string, path: readonly string[], siblings: string[], settings: readonly Setting[]): string {
  const sibling = closest(name, siblings)
  if (sibling) return `Did you mean ${[...path, sibling].join(".")}?`
  const same = settings.filter(({ path, key, env }) => [path.at(-1), key, env].includes(name))
  const alike = closest(name, new Set(settings.map(({ path }) => path.at(-1)!)))
  const places = same.length > 0 ? same : settings.filter(({ path }) => path.at(-1) === alike)
  if (places.length > 0) return `Did you mean ${places.slice(0, 3).map(asJson).join(" or ")}?`
  return `Remove it; known here are ${siblings.join(", ")}.`
}

const asJson = ({ path }: Setting): string => path.reduceRight((inner, part) => `{ "${part}": ${inner} }`, "…")
