/**
 * The copy of PostgreSQL's binaries that a database runs from: hard links beside the data (20 ms, 0.2 MB), real copies where
 * links are not possible (120 ms, 58 MB). It is needed because the package's library links are made by an install script
 * that npm may not run, because a user that PostgreSQL runs as may be barred from the project's folder, and because a
 * running database must survive `npm ci`, which deletes node_modules.
 */
import {
  chmodSync,
  chownSync,
  constants,
  copyFileSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs"
import { basename, join } from "node:path"
import type { Account } from "./place.ts"

/** What no database needs: build files, client libraries, and languages whose interpreters the package does not have. */
const unneeded = /\.a$|^pkgconfig$|^pgxs$|^pg_ctl$|^libecpg|^libpgtypes|plperl|plpython|^pltcl|_plpy/

/** Errors of `link` that a copy gets around: another disk, no right (fs.protected_hardlinks), no support, too many links. */
const copyInstead = ["EXDEV", "EPERM", "EACCES", "ENOTSUP", "EOPNOTSUPP", "EMLINK", "ENOSYS"]

/**
 * Makes the copy in `to`, which must not exist yet. `reader` is the user that will run it, `owner` the user that the
 * folders are given to; undefined means this process's. Works without a pause: 1,000 links one by one through promises
 * would take several times as long, and nothing else runs yet.
 */
export function copyRuntime(packageFolder: string, to: string, reader?: Account, owner?: Account): void {
  const native = join(packageFolder, "native")
  makeFolder(to, owner)
  for (const part of ["bin", "lib", "share"]) put(join(native, part), join(to, part), part === "bin", reader, owner)
  for (const { source, target } of linksOf(native)) {
    const link = join(to, "lib", basename(target))
    if (unneeded.test(basename(target))) continue
    rmSync(link, { force: true })
    symlinkSync(basename(source), link)
  }
}

/**
 * True when the copy has each file of the package in its full size, in 10 ms. A power cut soon after the copy was made (or after
 * `npm ci`, whose files it shares) can leave empty files, and nothing else would ever replace them.
 */
export function isCompleteCopy(packageFolder: string, copy: string): boolean {
  const native = join(packageFolder, "native")
  return ["bin", "lib", "share"].every((part) => isSameSize(join(native, part), join(copy, part)))
}

function isSameSize(from: string, to: string): boolean {
  const entry = lstatSync(from)
  if (entry.isSymbolicLink()) return true
  const copied = statSync(to, { throwIfNoEntry: false })
  if (!entry.isDirectory()) return copied?.size === entry.size
  const names = readdirSync(from).filter((name) => !unneeded.test(name))
  return copied !== undefined && names.every((name) => isSameSize(join(from, name), join(to, name)))
}

function put(from: string, to: string, executable: boolean, reader?: Account, owner?: Account): void {
  const entry = lstatSync(from)
  if (entry.isSymbolicLink()) return
  if (entry.isDirectory()) {
    makeFolder(to, owner)
    for (const name of readdirSync(from)) {
      if (!unneeded.test(name)) put(join(from, name), join(to, name), executable, reader, owner)
    }
    return
  }
  // An install under umask 077 leaves files that only their owner reads, some archives lose the right to execute.
  const needed = (executable ? 0o500 : 0o400) | (reader ? (executable ? 0o005 : 0o004) : 0)
  if ((entry.mode & needed) === needed && linked(from, to)) return
  copyFileSync(from, to, constants.COPYFILE_FICLONE)
  chmodSync(to, executable ? 0o755 : 0o644)
}

function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to)
    return true
  } catch (error) {
    if (copyInstead.includes((error as NodeJS.ErrnoException).code ?? "")) return false
    throw error
  }
}

function makeFolder(path: string, owner: Account | undefined): void {
  mkdirSync(path)
  chmodSync(path, 0o755) // whatever the umask
  if (owner) chownSync(path, owner.uid, owner.gid)
}

/** The library links that the package's install script would have made. */
function linksOf(native: string): { source: string; target: string }[] {
  try {
    return JSON.parse(readFileSync(join(native, "pg-symlinks.json"), "utf8"))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [] // the packages for macOS may have none
    throw error
  }
}
