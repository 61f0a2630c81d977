/**
 * The files of a folder as clients get them: small ones with their content, others with what is known of them. Each is
 * looked at on the disk at most once a second, so that a change is seen within one.
 */
import { hash } from "node:crypto"
import { type BigIntStats, constants } from "node:fs"
import { type FileHandle, open, realpath, stat } from "node:fs/promises"
import { join, relative, sep } from "node:path"
import { mediaTypeOf } from "./media-type.ts"
import { isPlainName } from "./target.ts"

/** Larger files are streamed: held in memory they would drive out many small ones. */
const largestInMemory = 1_000_000

/** What an entry costs besides its content, about. It also bounds how many large files are remembered. */
const entryOverhead = 2000

/** How often a small file is read that changes while it is read. */
const readAttempts = 3

/** How long what is known of a file holds. */
const lookAgainAfterMs = 1000

/** What a compressed file beside the plain one is called, the smaller first. */
const suffixes = { br: ".br", gzip: ".gz" } as const
type Encoding = keyof typeof suffixes

/** One state of one file. */
export interface Content {
  /** Where it is, with every link followed. */
  path: string
  size: number
  etag: string
  lastModified: string
  contentType: string
  encoding: Encoding | undefined
  /** Undefined for a large file. */
  body: Buffer | undefined
  /** Differs when the file was changed or replaced. */
  stamp: string
  /** False when it was written to so shortly before that a later change could have left the same time. */
  isSettled: boolean
}

/** A file with what is compressed beside it. */
export interface StaticFile {
  plain: Content
  encoded: Partial<Record<Encoding, Content>>
  encodings: readonly Encoding[]
}

interface Entry {
  file: StaticFile
  cost: number
  checked: number
}

export class StaticFolder {
  private readonly folder: string
  private readonly memory: number
  private readonly now: () => number
  /** The least lately used first; "used" is noted once a second, when a file is looked at. */
  private readonly entries = new Map<string, Entry>()
  private readonly loading = new Map<string, Promise<StaticFile | undefined>>()
  private used = 0

  /**
   * @param folder with every link in its own path followed
   * @param memory bytes that all small files together may take
   * @param now a clock in milliseconds that never goes back
   */
  constructor(folder: string, memory: number, now: () => number = () => performance.now()) {
    this.folder = folder
    this.memory = memory
    this.now = now
  }

  /** A file as it was less than a second ago, without asking the disk. */
  fresh(path: string): StaticFile | undefined {
    const entry = this.entries.get(path)
    return entry && this.now() - entry.checked < lookAgainAfterMs ? entry.file : undefined
  }

  /** A file by its path inside the folder, as {@link targetOf} gives it; undefined when there is none for clients. */
  async find(path: string): Promise<StaticFile | undefined> {
    return this.fresh(path) ?? (await this.look(path))
  }

  /** Opens a large file for reading; undefined when it changed since it was looked at, which {@link find} then notices. */
  async open(path: string, content: Content): Promise<FileHandle | undefined> {
    const handle = await openFile(content.path)
    const isSame = handle && stampOf(content.path, await handle.stat({ bigint: true })) === content.stamp
    if (isSame) return handle
    await handle?.close()
    this.forget(path)
    return undefined
  }

  /** Looks at the disk; who asks for the same file meanwhile gets the same answer. */
  private look(path: string): Promise<StaticFile | undefined> {
    let loading = this.loading.get(path)
    if (!loading) {
      loading = this.load(path).finally(() => this.loading.delete(path))
      this.loading.set(path, loading)
    }
    return loading
  }

  private async load(path: string): Promise<StaticFile | undefined> {
    const checked = this.now()
    const known = this.entries.get(path)?.file
    const [plain, br, gzip] = await Promise.all([
      this.read(path, known?.plain, undefined),
      this.read(path, known?.encoded.br, "br"),
      this.read(path, known?.encoded.gzip, "gzip"),
    ])
    this.forget(path)
    if (!plain) return undefined
    const encoded = { ...(br && { br }), ...(gzip && { gzip }) }
    const file = { plain, encoded, encodings: Object.keys(encoded) as Encoding[] }
    this.remember(path, file, checked)
    return file
  }

  /** One file as it is now; the content that is known is kept when nothing changed. */
  private async read(
    path: string,
    known: Content | undefined,
    encoding: Encoding | undefined,
  ): Promise<Content | undefined> {
    try {
      const real = await realpath(join(this.folder, encoding ? path + suffixes[encoding] : path))
      if (!this.isServed(real)) return undefined
      const stats = await stat(real, { bigint: true })
      if (known?.isSettled && known.stamp === stampOf(real, stats)) return known
      // A pipe would be waited for when it is opened.
      if (!stats.isFile()) return undefined
      for (let attempt = 1; attempt < readAttempts; attempt++) {
        const content = await this.readFile(real, path, encoding)
        if (content !== "changing") return content
      }
      // Something writes to it without a pause, as to a log: it is streamed, as far as it went.
      return (await this.readFile(real, path, encoding, 0)) as Content | undefined
    } catch (error) {
      if (meansAbsent.has((error as NodeJS.ErrnoException).code ?? "")) return undefined
      throw error
    }
  }

  /** The same rules for what links lead to as for what clients ask for, and nothing outside of the folder. */
  private isServed(real: string): boolean {
    const names = relative(this.folder, real).split(sep)
    return names.every((name, place) => isPlainName(name, place === 0))
  }

  private async readFile(
    real: string,
    path: string,
    encoding: Encoding | undefined,
    largest = Math.min(largestInMemory, this.memory - entryOverhead),
  ): Promise<Content | "changing" | undefined> {
    const handle = await openFile(real)
    if (!handle) return undefined
    try {
      const stats = await handle.stat({ bigint: true })
      const size = Number(stats.size)
      const stamp = stampOf(real, stats)
      let body: Buffer | undefined
      // Nothing is kept of an empty file, and nothing can be streamed of it.
      if (size <= Math.max(0, largest)) {
        body = await handle.readFile()
        const isWhole = body.length === size && stampOf(real, await handle.stat({ bigint: true })) === stamp
        if (!isWhole) return "changing"
      }
      // Both are the same on every machine that got the file by a copy that keeps its time.
      const etag = body
        ? `"${hash("sha256", body, "base64url").slice(0, 22)}"`
        : `"${stats.size.toString(36)}-${stats.mtimeNs.toString(36)}${encoding ? `-${encoding}` : ""}"`
      const lastModified = new Date(Number(stats.mtimeMs)).toUTCString()
      const isSettled = Date.now() - Number(stats.ctimeMs) > lookAgainAfterMs
      return {
        path: real,
        size,
        etag,
        lastModified,
        contentType: mediaTypeOf(path),
        encoding,
        body,
        stamp,
        isSettled,
      }
    } finally {
      await handle.close()
    }
  }

  private remember(path: string, file: StaticFile, checked: number): void {
    const contents = [file.plain, ...Object.values(file.encoded)]
    const cost = contents.reduce((sum, { body }) => sum + (body?.length ?? 0), entryOverhead)
    if (cost > this.memory) return
    this.entries.set(path, { file, cost, checked })
    this.used += cost
    for (const oldest of this.entries.keys()) {
      if (this.used <= this.memory) break
      this.forget(oldest)
    }
  }

  private forget(path: string): void {
    this.used -= this.entries.get(path)?.cost ?? 0
    this.entries.delete(path)
  }
}

/** Opens a regular file; undefined when it is none any more. Follows no link: they were followed, and checked, before. */
async function openFile(real: string): Promise<FileHandle | undefined> {
  const handle = await open(real, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)).catch(
    (error: NodeJS.ErrnoException) => {
      if (meansAbsent.has(error.code ?? "")) return undefined
      throw error
    },
  )
  if (handle && !(await handle.stat()).isFile()) {
    await handle.close()
    return undefined
  }
  return handle
}

const stampOf = (real: string, { dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string =>
  `${real} ${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}`

/** Errors of the file system that say: no such file. Others are trouble, and are logged. */
const meansAbsent = new Set(["ENOENT", "ENOTDIR", "EISDIR", "ELOOP", "ENAMETOOLONG", "ENXIO", "EINVAL"])
