/** Reads the values of a row, each by what it stands for. What is wrong is said without the value: it may be a secret. */
import { Compile } from "typebox/compile"
import { accountRoles, Company, EmailAddress, PersonName, Tags } from "../../auth/accounts.ts"
import { readHash } from "../../auth/password-hashes.ts"
import { grantableRoles } from "../../core/roles.ts"
import { didYouMean } from "../../core/suggest.ts"

/** Something that is wrong with a value. */
export class Mistake extends Error {}

const isEmail = Compile(EmailAddress)
const isName = Compile(PersonName)
const isCompany = Compile(Company)
const isTags = Compile(Tags)

/** The text of a value, and none for what is missing. */
export function readText(value: unknown, name: string): string {
  if (value === undefined || value === null) return ""
  if (typeof value === "number" || typeof value === "boolean") return String(value)
  if (typeof value !== "string") throw new Mistake(`${name} is no text`)
  // PostgreSQL keeps no NUL, and half of a character has no form in UTF-8.
  if (value.includes("\0") || !value.isWellFormed()) throw new Mistake(`${name} has a character that cannot be stored`)
  return value
}

export const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

export function readId(text: string): string {
  const id = text.trim().toLowerCase()
  // RESTPie3 on SQLite counts its users.
  if (id !== "" && !/^\d+$/.test(id) && !uuid.test(id)) throw new Mistake("the id is neither a uuid nor a number")
  return id
}

/** As PostgreSQL and Python write it: `2020-05-17 09:30:00.123456+00`. Without a zone it is UTC. */
const moment =
  /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?(?:\.\d{1,9})?)(?: ?(Z|[+-](?:0\d|1[0-4])(?::?[0-5]\d)?))?)?$/

/** A moment as PostgreSQL reads it; null for none. */
export function readMoment(text: string): string | null {
  if (text.trim() === "") return null
  const [, day, time = "00:00", zone = "Z"] = moment.exec(text.trim()) ?? []
  // Of the year 0 PostgreSQL knows nothing, and of 30 February JavaScript makes 1 March.
  const isDay = day !== undefined && day > "0001" && new Date(`${day}T00:00Z`).toJSON()?.startsWith(day)
  const isTime = !time.startsWith("24") && !Number.isNaN(Date.parse(`2000-01-01T${time}Z`))
  if (!isDay || !isTime) throw new Mistake('created is no moment such as "2020-05-17 09:30:00"')
  return `${day}T${time}${zone}`
}

export function readEmail(text: string): string {
  const email = text.trim()
  if (email === "") throw new Mistake("it has no e-mail address")
  if (!isEmail.Check(email)) throw new Mistake("the e-mail address is invalid")
  return email
}

export function readName(text: string, which: string): string {
  // RESTPie3 has people without names.
  if (text !== "" && !isName.Check(text)) throw new Mistake(`the ${which} name is longer than 100 characters`)
  return text
}

export function readCompany(text: string): string | null {
  if (!isCompany.Check(text)) throw new Mistake("the company is longer than 200 characters")
  return text || null
}

/** Of a disabled account RESTPie3 does not say what it was before: it gets the lowest role. */
export function readRole(text: string, defaultRole: string): { role: string; isDisabled: boolean } {
  const role = text.trim() || defaultRole
  if (role === "disabled") return { role: grantableRoles[0]!, isDisabled: true }
  if (!(grantableRoles as string[]).includes(role)) {
    throw new Mistake(`the role is unknown.${didYouMean(role, accountRoles)} The roles are ${accountRoles.join(", ")}`)
  }
  return { role, isDisabled: false }
}

/** Yes and no as PostgreSQL, JSON and SQLite write them. */
export function readDisabled(text: string): boolean {
  const word = text.trim().toLowerCase()
  if (["t", "true", "1"].includes(word)) return true
  if (["f", "false", "0", ""].includes(word)) return false
  throw new Mistake("disabled is neither true nor false")
}

/** How hashes of kinds that cannot be checked here begin, or look as a whole. */
const otherHash =
  /^(\$[a-z0-9-]{1,20}\$|\{[A-Z0-9]{3,10}\}|(pbkdf2|argon2|bcrypt|scrypt|sha\d+)\w*[$:]|([0-9a-f]{32,}|[a-z0-9+/]{40,}={0,2})$)/i

/** The hash of a password; null for none. */
export function readPassword(text: string): string | null {
  const password = text.trim()
  if (password === "") return null
  if (readHash(password)) return password
  throw new Mistake(
    otherHash.test(password)
      ? "the password's hash is of a kind that cannot be checked here, as only $pbkdf2-sha256$ of passlib and $argon2id$ can"
      : "the password is plain text, which is refused: leave it empty, or hash it with passlib's pbkdf2_sha256",
  )
}

/** A list in JSON, an array of PostgreSQL (`{a,"b c"}`), or words with commas between them. */
export function readTags(value: unknown): string[] {
  const list = Array.isArray(value) ? value : listOf(readText(value, "tags").trim())
  const tags = list.map((tag) => readText(tag, "tags").trim()).filter((tag) => tag !== "")
  if (!isTags.Check(tags)) throw new Mistake("there are more than 50 tags, or one is longer than 50 characters")
  return [...new Set(tags)]
}

function listOf(text: string): unknown[] {
  if (text.startsWith("[")) return parsed(text)
  if (!text.startsWith("{")) return text.split(",")
  if (!text.endsWith("}")) throw notAList()
  const items = text.slice(1, -1).matchAll(/"((?:[^"\\]|\\.)*)"|([^",]+)/gs)
  return [...items].flatMap(([, quoted, plain]) =>
    quoted !== undefined ? quoted.replace(/\\(.)/gs, "$1") : plain === "NULL" ? [] : [plain],
  )
}

function parsed(text: string): unknown[] {
  try {
    return JSON.parse(text)
  } catch {
    throw notAList()
  }
}

const notAList = () => new Mistake("tags is no list")
