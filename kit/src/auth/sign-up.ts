/** Makes the account of somebody who signs up with a password. */
import { type AccountRow, addressTaken, createAccount } from "./accounts.ts"
import { type Accounts, refuseWeak } from "./log-in.ts"

export interface NewPerson {
  email: string
  password: string
  first_name: string
  last_name: string
  company?: string | undefined
}

/**
 * The new account; undefined where `accounts.reveal_taken_email` is off, whether there is one or not: nobody is to be logged in,
 * and the answer is to be the same.
 * @throws HttpError 400 for a weak password or a taken address
 */
export async function signUp(accounts: Accounts, person: NewPerson): Promise<AccountRow | undefined> {
  const { db, passwords, settings } = accounts
  const { email, first_name, last_name } = person
  refuseWeak(accounts, person.password, { email, names: [first_name, last_name] }, "password")
  // Before it is known whether the address is free: both take as long.
  const password = await passwords.hash(person.password)
  const row = await createAccount(db, { ...person, password, role: settings.default_role })
  if (!settings.reveal_taken_email) return undefined
  if (!row) throw addressTaken()
  return row
}
