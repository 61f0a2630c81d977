/** A project for the tests of the commands, which run in it as processes of their own. */
import { fork, spawn } from "node:child_process"
import { once } from "node:events"
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import type { TestContext } from "node:test"
import type { DatabaseAddress } from "../src/db/database.ts"
import { testServerVariable } from "../src/db/test-database.ts"
import { killDatabase, later, postmasterOf, seed } from "./embedded/scratch.ts"
import { removeProject } from "./remove-project.ts"

const root = join(import.meta.dirname, "../..")
const trestle = [process.execPath, join(root, "kit/src/cli/main.ts")]

type Environment = Record<string, string>

export interface Project {
  folder: string
  /** Writes a file, into the one that is there. */
  write(name: string, text: string): Promise<void>
  /** Starts `trestle` with these arguments, or another command, in a process group of its own. */
  start(args: string[], env?: Environment, command?: string[]): Command
  /** Runs `trestle` with these arguments to its end. */
  run(args: string[], env?: Environment): Promise<Ended>
  /** Makes what runs commands in one process, one after the other; see commands-child.ts. */
  inOneProcess(env?: Environment): (args: string[]) => Promise<Ended>
  /** Gives it an embedded database, empty and stopped: initdb takes longer than all that most tests do. */
  seed(): Promise<void>
  /** The process of its embedded database, undefined when it does not run. */
  postmaster(): Promise<number | undefined>
}

/** A command that runs. */
export interface Command {
  /** Sends a signal to the process, or to its whole group. */
  kill(signal: NodeJS.Signals, whom?: "process" | "group"): void
  /** Waits for a text in what it prints; all up to that text is not looked at again. */
  says(awaited: RegExp): Promise<RegExpExecArray>
  ended: Promise<Ended>
}

export interface Ended {
  /** Its exit code, or the signal that ended it. */
  code: number | NodeJS.Signals
  stdout: string
  stderr: string
}

const usualFiles = {
  "package.json": '{ "type": "module", "main": "app/app.ts" }',
  "app/app.ts": `import { defineApp } from "trestle"
export default defineApp({ name: "sample", routes: {}, folder: import.meta.dirname })
`,
}

/** Makes one with these files, in a folder with a space in its name. Without an app/app.ts among them it has no routes. */
export async function makeProject(t: TestContext, files: Record<string, string> = {}): Promise<Project> {
  const top = await mkdtemp(join(tmpdir(), "trestle-project-"))
  // Root's PostgreSQL runs as another user, who has to pass through.
  await chmod(top, 0o755)
  const folder = join(top, "my project")
  const data = join(folder, "data/postgres")
  later(t, async () => {
    await killDatabase(data)
    removeProject(folder)
    await rm(top, { recursive: true })
  })
  const write = async (name: string, text: string) => {
    await mkdir(dirname(join(folder, name)), { recursive: true })
    await writeFile(join(folder, name), text)
  }
  for (const [name, text] of Object.entries({ ...usualFiles, ...files })) await write(name, text)
  await symlink(join(root, "node_modules"), join(folder, "node_modules"))
  const start: Project["start"] = (args, env = {}, command = trestle) => startIn(t, folder, [...command, ...args], env)
  return {
    folder,
    write,
    start,
    run: (args, env) => start(args, env).ended,
    inOneProcess: (env) => inOneProcess(t, folder, env),
    seed: () => seed({ folder: data, rootBase: join(top, "root") }),
    postmaster: () => postmasterOf(data),
  }
}

/** An address as DATABASE_URL has it. */
export function urlOf(address: DatabaseAddress): string {
  if ("url" in address) return address.url
  const { user, host, port, database } = address
  return `postgres://${user}@/${database}?host=${encodeURIComponent(host)}&port=${port}`
}

function inOneProcess(t: TestContext, folder: string, env: Environment = {}): Project["run"] {
  const child = fork(join(import.meta.dirname, "commands-child.ts"), {
    cwd: folder,
    env: { ...plainEnvironment(), ...env },
  })
  const ended = once(child, "exit")
  later(t, async () => {
    child.kill()
    await ended
  })
  let last: Promise<unknown> = Promise.resolve()
  return (args) => {
    const answer = last.then(async () => {
      child.send(args)
      const [message] = await Promise.race([once(child, "message"), ended])
      if (typeof message !== "object") throw new Error(`It ended in trestle ${args.join(" ")}: ${message}`)
      return message as Ended
    })
    last = answer.catch(() => {})
    return answer
  }
}

function startIn(t: TestContext, folder: string, [program = "", ...args]: string[], env: Environment): Command {
  const options = { cwd: folder, env: { ...plainEnvironment(), ...env }, detached: true }
  const child = spawn(program, args, { ...options, stdio: ["ignore", "pipe", "pipe"] })
  const pid = child.pid!
  const said = { stdout: "", stderr: "" }
  let all = ""
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream].setEncoding("utf8").on("data", (chunk: string) => {
      said[stream] += chunk
      all += chunk
      child.emit("said")
    })
  }
  let isOver = false
  const ended = once(child, "close").then(([code, signal]): Ended => {
    isOver = true
    return { code: code ?? signal, ...said }
  })
  later(t, async () => {
    if (!isOver) kill("SIGKILL", "group")
    await ended
  })
  let read = 0
  const says = async (awaited: RegExp) => {
    for (;;) {
      const match = awaited.exec(all.slice(read))
      if (match) {
        read += match.index + match[0].length
        return match
      }
      if (isOver) throw new Error(`It ended without ${awaited}:\n${all}`)
      await Promise.race([once(child, "said"), ended])
    }
  }
  const kill: Command["kill"] = (signal, whom = "process") => void process.kill(whom === "group" ? -pid : pid, signal)
  return { kill, says, ended }
}

/** As in a shell: without what npm and the test runner tell their children. */
function plainEnvironment(): NodeJS.ProcessEnv {
  const ofTests = new RegExp(`^(npm_|NODE_TEST_|INIT_CWD$|DATABASE_URL$|${testServerVariable}$)`, "i")
  const entries = Object.entries(process.env).filter(([name]) => !ofTests.test(name))
  return { ...Object.fromEntries(entries), HOST: "localhost", PORT: "0", WORKERS_WEB: "1", WORKERS_JOBS: "0" }
}
