// Installs the Node that ../node24/package.json names, once, for machines that have only an older one. The binary comes
// from the npm registry, at the version and with the checksum of the lock file beside it; no install script runs.
import {
  accessSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from "node:fs"
import { homedir, hostname } from "node:os"
import { basename, dirname, join } from "node:path"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { runChild } from "./child.js"

const here = fileURLToPath(new URL("../node24", import.meta.url))
const platform = `${process.platform}-${process.arch}`
const packageName = `node-${platform}`

class LaunchError extends Error {
  name = "LaunchError"
}

/**
 * The path of the pinned Node's binary, installed if it is not there yet.
 * @param {string} current The version that runs now, for the message.
 */
export async function installedNode(current) {
  const version = JSON.parse(readFileSync(join(here, "package.json"), "utf8")).optionalDependencies[packageName]
  if (version === undefined) throw new LaunchError(`Node ${current} is too old. ${advice()}`)
  const places = [join(here, `installed-${version}-${platform}`)]
  const cache = cacheFolder()
  if (cache !== undefined) places.push(join(cache, "trestle", `node-${version}-${platform}`))

  const present = places.find((place) => existsSync(binary(place)))
  if (present !== undefined) return binary(present)

  const place = places.find((candidate) => canWrite(dirname(candidate)))
  if (place === undefined) {
    const folders = places.map(dirname).join(" nor ")
    throw new LaunchError(`Node ${current} is too old, and neither ${folders} can be written to. ${advice()}`)
  }
  console.error(`Node ${current} is older than 24: installing Node ${version} once into ${dirname(place)} …`)
  await install(place, version)
  return binary(place)
}

function advice() {
  return "Trestle needs Node 24 or newer: https://nodejs.org/en/download, or `nvm install 24`."
}

function binary(place) {
  return join(place, "node_modules", packageName, "bin", "node")
}

function cacheFolder() {
  if (process.env.XDG_CACHE_HOME) return process.env.XDG_CACHE_HOME
  try {
    return join(homedir(), ".cache")
  } catch {
    return undefined // a user without a home
  }
}

function canWrite(folder) {
  try {
    mkdirSync(folder, { recursive: true })
    accessSync(folder, constants.W_OK)
    return true
  } catch {
    return false
  }
}

/** Installs beside the place and renames: nobody ever finds half a Node, and of two that start at once both succeed. */
async function install(place, version) {
  // The name says whose folder it is, so that the next install can remove what a killed one left.
  const prefix = `${place}.partial-${hostname()}-`
  removeAbandoned(prefix)
  const folder = `${prefix}${process.pid}`
  rmSync(folder, { recursive: true, force: true })
  // With the usual mode, not mkdtemp's: whoever may read the project, a service's own user for one, runs this Node.
  mkdirSync(folder)
  try {
    for (const file of ["package.json", "package-lock.json"]) copyFileSync(join(here, file), join(folder, file))
    await npmCi(folder)
    const check = await runChild(binary(folder), ["--version"], { stdio: "pipe" }).catch((error) => ({
      output: error.code,
    }))
    if (check.output.trim() !== `v${version}`) {
      throw new LaunchError(
        `Node ${version} from the npm registry does not run here (${check.output.trim()}). ${advice()}`,
      )
    }
    renameSync(folder, place)
  } catch (error) {
    if (!existsSync(binary(place))) throw error
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function removeAbandoned(prefix) {
  for (const name of readdirSync(dirname(prefix))) {
    if (!name.startsWith(basename(prefix))) continue
    const pid = Number.parseInt(name.slice(basename(prefix).length), 10)
    if (!isAlive(pid)) rmSync(join(dirname(prefix), name), { recursive: true, force: true })
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === "EPERM"
  }
}

async function npmCi(folder) {
  const [command, ...first] = npm()
  const flags = [
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--prefer-offline",
    "--include=optional",
    "--no-workspaces",
  ]
  // A failed optional package is silent at npm's usual log level, and without a network npm would try for over a minute.
  flags.push("--loglevel=http", "--fetch-retries=1", "--fetch-retry-mintimeout=1000")
  const result = await runChild(command, [...first, "ci", ...flags], {
    cwd: folder,
    env: npmEnvironment(),
    stdio: "pipe",
  }).catch((error) => ({ code: 1, output: `${command}: ${error.message}` }))
  if (result.code === 0 && existsSync(binary(folder))) return
  const said = result.output.split("\n").filter((line) => line.trim() !== "" && !line.startsWith("up to date"))
  const lastLines = said.slice(-8).join("\n")
  throw new LaunchError(`${lastLines}\nnpm could not install ${packageName} (above: its last lines). ${advice()}`)
}

/** The npm that runs us, the one beside this Node, or the one on the PATH. */
function npm() {
  const running = process.env.npm_execpath ?? ""
  // Under npx it names npx-cli.js; other package managers put themselves there.
  const cli = join(dirname(running), "npm-cli.js")
  if (/^np[mx]-cli\.js$/.test(basename(running)) && existsSync(cli)) return [process.execPath, cli]
  const beside = join(dirname(process.execPath), "npm")
  return [existsSync(beside) ? beside : "npm"]
}

/**
 * The environment without what an outer npm tells its scripts (prefix, workspace, omit, …), which would send this install
 * somewhere else. What says how to reach the registry stays.
 */
function npmEnvironment() {
  const reach =
    /^npm_config_(registry|(https?_)?proxy|no_?proxy|ca|cafile|cert|key|strict_ssl|cache|userconfig|globalconfig|offline)$/i
  const entries = Object.entries(process.env).filter(([name]) => {
    return name !== "INIT_CWD" && (!/^npm_/i.test(name) || reach.test(name))
  })
  return Object.fromEntries(entries)
}
