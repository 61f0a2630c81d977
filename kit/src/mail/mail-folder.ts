/** Mails as files, where no mail server is configured: `data/mail/<id of the job>.eml`, which any mail program opens. */
import { randomBytes } from "node:crypto"
import { mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises"
import { dirname, join } from "node:path"
import type { ComposedMail } from "./compose.ts"
import type { Transport } from "./transport.ts"

/** A mail in the folder. */
export interface FiledMail {
  /** The id of its job, which names the file. */
  id: string
  written: Date
}

export class MailFolder implements Transport {
  readonly folder: string

  constructor(folder: string) {
    this.folder = folder
  }

  /** A mail that is sent again takes the place of the first one. Mails hold links that open accounts: only the owner reads them. */
  async send({ id, raw }: ComposedMail): Promise<void> {
    await mkdir(dirname(this.folder), { recursive: true })
    await mkdir(this.folder, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error
    })
    const unfinished = join(this.folder, `.${id}-${randomBytes(6).toString("hex")}`)
    try {
      await using file = await open(unfinished, "wx", 0o600)
      await file.writeFile(raw)
      await file.sync()
      await rename(unfinished, this.fileOf(id))
    } catch (error) {
      await rm(unfinished, { force: true })
      throw error
    }
  }

  /** The newest first. */
  async list(atMost: number): Promise<FiledMail[]> {
    const names = await readdir(this.folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return []
      throw error
    })
    const ids = names.flatMap((name) => idPattern.exec(name)?.[1] ?? [])
    const mails = await Promise.all(
      ids.map(async (id) => ({ id, written: (await stat(this.fileOf(id)).catch(() => undefined))?.mtime })),
    )
    return mails
      .filter((mail): mail is FiledMail => mail.written !== undefined)
      .sort((a, b) => b.written.getTime() - a.written.getTime())
      .slice(0, atMost)
  }

  /** The bytes of a mail; undefined when there is none. */
  async read(id: string): Promise<Buffer | undefined> {
    // A path of somebody's choice would be any file.
    if (!idPattern.test(`${id}.eml`)) return undefined
    return readFile(this.fileOf(id)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined
      throw error
    })
  }

  private fileOf(id: string): string {
    return join(this.folder, `${id}.eml`)
  }
}

const idPattern = /^([\w-]{1,100})\.eml$/
