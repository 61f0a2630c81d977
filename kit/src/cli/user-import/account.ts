/** Reads an account from a row, and says all that is wrong with it. */
import { randomUUID } from "node:crypto"
import { BootError } from "../../core/errors.ts"
import { didYouMean } from "../../core/suggest.ts"
import {
  Mistake,
  readCompany,
  readDisabled,
  readEmail,
  readId,
  readMoment,
  readName,
  readPassword,
  readRole,
  readTags,
  readText,
  uuid,
} from "./values.ts"

/** An account as it is written, with the names of its columns. */
export interface ReadAccount {
  id: string
  /** As in the file, in lower case: where it is no uuid, the account gets another one. */
  givenId: string
  /** Null is now. */
  created: string | null
  email: string
  /** The hash. */
  password: string | null
  first_name: string
  last_name: string
  company: string | null
  role: string
  disabled: boolean
  tags: string[]
}

/** What stands under a name. */
const meanings: Record<string, string> = {
  id: "id",
  created: "created",
  email: "email",
  password: "password",
  first_name: "first_name",
  fname: "first_name",
  last_name: "last_name",
  lname: "last_name",
  company: "company",
  role: "role",
  disabled: "disabled",
  tags: "tags",
}

/** What RESTPie3 and Trestle say besides; it follows from the rest. */
const passedOver = new Set(["modified", "fullname", ""])

/**
 * The account of a row.
 * @param defaultRole of those whose row names none
 * @param ignored gets the names that stand for nothing here
 * @throws BootError for a name that is probably misspelt: what stands there would be lost, such as the passwords
 */
export function readAccount(
  values: Record<string, unknown>,
  defaultRole: string,
  ignored: Set<string>,
): { account: ReadAccount } | { mistakes: string[] } {
  const given: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(values)) {
    if (Object.hasOwn(meanings, name)) given[meanings[name]!] ||= value
    else if (!passedOver.has(name) && !ignored.has(name)) ignore(name, ignored)
  }

  const mistakes: string[] = []
  const attempt = <T>(read: () => T): T | undefined => {
    try {
      return read()
    } catch (error) {
      if (!(error instanceof Mistake)) throw error
      mistakes.push(error.message)
      return undefined
    }
  }
  const text = (name: string) => readText(given[name], name)
  const givenId = attempt(() => readId(text("id")))
  const { role, isDisabled } = attempt(() => readRole(text("role"), defaultRole)) ?? {}
  const account = {
    id: uuid.test(givenId ?? "") ? givenId : randomUUID(),
    givenId,
    created: attempt(() => readMoment(text("created"))),
    email: attempt(() => readEmail(text("email"))),
    password: attempt(() => readPassword(text("password"))),
    first_name: attempt(() => readName(text("first_name"), "first")),
    last_name: attempt(() => readName(text("last_name"), "last")),
    company: attempt(() => readCompany(text("company"))),
    role,
    disabled: attempt(() => readDisabled(text("disabled"))) || isDisabled,
    tags: attempt(() => readTags(given.tags)),
  }
  // Where nothing is wrong, nothing is missing.
  return mistakes.length > 0 ? { mistakes } : { account: account as ReadAccount }
}

/** The most names that are told; a file of objects may have any number. */
const ignoredAtMost = 20

function ignore(name: string, ignored: Set<string>): void {
  const guess = didYouMean(name, Object.keys(meanings))
  if (guess) throw new BootError(`An account has no "${name}".${guess} Nothing is imported from here on.`)
  if (ignored.size < ignoredAtMost) ignored.add(name)
}
