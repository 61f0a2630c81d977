/**
 * Tells when files of a project change, however they are saved. Folders are watched, never files: editors, `sed -i` and git put
 * a new file in the place of the old one, and whoever watches the old one is blind from then on (as `node --watch` is, and
 * `fs.watch` with `recursive` on Linux).
 */
import { type FSWatcher, readdirSync, watch } from "node:fs"
import { basename, dirname, join } from "node:path"

/** What to watch. */
export interface Watched {
  /** Folders, with all that is below them. */
  trees: string[]
  /** Single files, which need not be there. */
  files: string[]
  /** What a running server writes: it is no change. */
  except: string[]
}

/** One save is many events, and a checkout is many saves: it is over when nothing has happened for so long. */
const quietMs = 100

/** The next change; it is watched for from the moment that this is made, until it is disposed of. */
export class NextChange implements Disposable {
  /** The file that changed last: the first one may be an editor's own. */
  readonly file: Promise<string>
  private readonly watchers: FSWatcher[] = []
  private readonly changed: (file: string) => void
  private timer: NodeJS.Timeout | undefined

  constructor({ trees, files, except }: Watched) {
    const { promise, resolve } = Promise.withResolvers<string>()
    this.file = promise
    this.changed = (file) => {
      clearTimeout(this.timer)
      this.timer = setTimeout(resolve, quietMs, file)
    }
    const isSource = (path: string) => !namesOfOthers.test(basename(path)) && !except.includes(path)
    for (const folder of trees.flatMap((tree) => foldersIn(tree, isSource))) this.watch(folder, isSource)
    // A tree as well: it may be put in the place of another one.
    for (const path of [...trees, ...files]) this.watch(dirname(path), (changed) => changed === path)
  }

  private watch(folder: string, isWatched: (path: string) => boolean): void {
    ifPresent(() => {
      const watcher = watch(folder, (_, name) => {
        const path = join(folder, name ?? "")
        if (isWatched(path)) this.changed(path)
      })
      watcher.on("error", () => this.changed(folder))
      this.watchers.push(watcher)
    })
  }

  [Symbol.dispose](): void {
    clearTimeout(this.timer)
    for (const watcher of this.watchers) watcher.close()
  }
}

/** What editors put beside a file, and packages. */
const namesOfOthers = /^\.|~$|^node_modules$/

function foldersIn(folder: string, isSource: (path: string) => boolean): string[] {
  const entries = ifPresent(() => readdirSync(folder, { withFileTypes: true })) ?? []
  const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(folder, name))
  return [folder, ...folders.filter(isSource).flatMap((below) => foldersIn(below, isSource))]
}

/** A folder may go while it is looked at; the one above tells of it. */
function ifPresent<T>(look: () => T): T | undefined {
  try {
    return look()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined
    throw error
  }
}
