/**
 * `trestle user import FILE`: takes over accounts from a file, with their hashes. It writes a thousand at a time: who is killed
 * halfway runs it again, and what is there already is passed over.
 */
import type { Db } from "../db/database.ts"
import { type Arguments, withTables } from "./command.ts"
import { type ReadAccount, readAccount } from "./user-import/account.ts"
import { readRows } from "./user-import/file.ts"
import { findPresent, insertAccounts } from "./user-import/write.ts"

const batchSize = 1000

export function importUsers({ words: [file = ""], flags }: Arguments): Promise<void> {
  return withTables("user import", async ({ db, config }) => {
    const run = new Import(flags["dry-run"] ? undefined : insertAccounts)
    let isRead = false
    try {
      for await (const row of readRows(file)) {
        if ("mistake" in row) run.refuse(row.line, row.mistake)
        else {
          const read = readAccount(row.values, config.accounts.default_role, run.ignored)
          if ("mistakes" in read) run.refuse(row.line, read.mistakes.join("; "))
          else if (run.take(row.line, read.account)) await run.write(db)
        }
      }
      isRead = true
    } finally {
      // What was read of a file that cannot be read to its end counts, too.
      await run.write(db)
      if (isRead || run.isBegun) run.sayResult()
    }
  })
}

/** One run of the command: what waits to be written, and what is told at the end. */
class Import {
  /** Names that stand for nothing. */
  readonly ignored = new Set<string>()
  private readonly insert: typeof insertAccounts | undefined
  private batch: { line: number; account: ReadAccount }[] = []
  /** The lines of addresses and ids. */
  private readonly seen = new Map<string, number>()
  private readonly present = new Lines()
  /** Whether there was a row. */
  isBegun = false
  private imported = 0
  private refused = 0
  private withNewId = 0
  private withoutPassword = 0

  /** @param insert nothing is written without it */
  constructor(insert: typeof insertAccounts | undefined) {
    this.insert = insert
  }

  refuse(line: number, mistake: string): void {
    this.isBegun = true
    this.refused++
    note(`Line ${line}: ${mistake}.`)
  }

  /** Adds an account to those that wait, and says whether it is time to write them. */
  take(line: number, account: ReadAccount): boolean {
    this.isBegun = true
    const { givenId, email } = account
    const own = { address: email.toLowerCase(), ...(givenId && { id: givenId }) }
    for (const [what, value] of Object.entries(own)) {
      const before = this.seen.get(value)
      if (before !== undefined) {
        this.refuse(line, `the ${what} stands in line ${before} already`)
        return false
      }
    }
    for (const value of Object.values(own)) this.seen.set(value, line)
    this.batch.push({ line, account })
    return this.batch.length >= batchSize
  }

  async write(db: Db): Promise<void> {
    const batch = this.batch
    if (batch.length === 0) return
    this.batch = []
    const { emails, ids } = await findPresent(
      db,
      batch.map(({ account }) => account),
    )
    const fresh = batch.filter(({ line, account }) => {
      const isPresent = emails.has(account.email.toLowerCase())
      if (isPresent) this.present.add(line)
      else if (ids.has(account.id)) this.refuse(line, "its id belongs to another account")
      else return true
      return false
    })
    const accounts = fresh.map(({ account }) => account)
    const inserted = this.insert ? await this.insert(db, accounts) : new Set(accounts.map(({ id }) => id))
    for (const { line, account } of fresh) {
      // Somebody may have signed up just now.
      if (!inserted.has(account.id)) this.present.add(line)
      else {
        this.imported++
        if (account.givenId !== "" && account.givenId !== account.id) this.withNewId++
        if (account.password === null) this.withoutPassword++
      }
    }
  }

  sayResult(): void {
    print(`${this.insert ? "Imported" : "Would import"} ${count(this.imported)}.`)
    if (this.withoutPassword > 0)
      print(`Without a password: ${this.withoutPassword}. Give them one: npx trestle user password EMAIL`)
    if (this.withNewId > 0) print(`With another id than in the file, where it is no uuid: ${this.withNewId}.`)
    if (this.present.count > 0) print(`There already: ${count(this.present.count)}, in ${this.present}.`)
    if (this.ignored.size > 0) print(`Not looked at: ${[...this.ignored].join(", ")}.`)
    if (this.refused > 0) {
      print(`Refused: ${this.refused}, for the reasons above.`)
      process.exitCode = 1
    }
  }
}

/** Numbers of lines, in rising order. */
class Lines {
  count = 0
  private readonly ranges: { from: number; to: number }[] = []

  add(line: number): void {
    this.count++
    const last = this.ranges.at(-1)
    if (last && line === last.to + 1) last.to = line
    else this.ranges.push({ from: line, to: line })
  }

  /** `lines 2-5, 9` */
  toString(): string {
    const ranges = this.ranges.map(({ from, to }) => (from === to ? from : `${from}-${to}`))
    return `line${this.count === 1 ? "" : "s"} ${ranges.join(", ")}`
  }
}

const count = (number: number): string => `${number} account${number === 1 ? "" : "s"}`
const print = (line: string) => void process.stdout.write(`${line}\n`)
const note = (line: string) => void process.stderr.write(`${line}\n`)
