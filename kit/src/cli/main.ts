/** The commands of `trestle`. Each is loaded when it is called. */
import { parseArgs } from "node:util"
import { BootError } from "../core/errors.ts"
import { didYouMean } from "../core/suggest.ts"
import type { Arguments } from "./command.ts"

type Command = (args: Arguments) => Promise<void>

const commands: Record<string, () => Promise<Command>> = {
  start: async () => (await import("./start.ts")).start,
  dev: async () => (await import("./dev.ts")).dev,
  "dev-server": async () => (await import("./dev.ts")).devServer,
  migrate: async () => (await import("./migrate.ts")).migrate,
  token: async () => (await import("./token.ts")).token,
  db: async () => (await import("./db.ts")).db,
  certificate: async () => (await import("./certificate.ts")).certificate,
  test: async () => (await import("./test.ts")).test,
  config: async () => (await import("./config.ts")).config,
}

const usage = `trestle start                 runs the server, in production
trestle dev                   runs it in development, again at each change
trestle test [FILES]          runs the tests, on a database of their own
trestle migrate               up, down, status, new NAME
trestle token                 new, list, revoke ID
trestle db url                prints how psql connects to the database
trestle certificate           makes a self-signed certificate: --force, --days N
trestle config                prints each setting, and where it comes from
trestle node ARGS             runs the Node that Trestle runs on`

async function main([name = "help", ...rest]: string[]): Promise<void> {
  if (name === "help" || name === "--help" || name === "-h") {
    process.stdout.write(`${usage}\n`)
    return
  }
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (!load) throw new BootError(`There is no command "${name}".${didYouMean(name, Object.keys(commands))}\n${usage}`)
  const command = await load()
  await command(name === "test" ? { words: rest, flags: {} } : read(rest))
}

function read(args: string[]): Arguments {
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        name: { type: "string" },
        role: { type: "string" },
        expires: { type: "string" },
        kit: { type: "boolean" },
        force: { type: "boolean" },
        days: { type: "string" },
      },
    })
    return { words: positionals, flags: values }
  } catch (error) {
    throw new BootError((error as Error).message)
  }
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  // A boot error says all that its reader needs; any other is a defect, and its stack says where.
  process.stderr.write(`${error instanceof BootError ? error.message : ((error as Error)?.stack ?? error)}\n`)
  process.exitCode = 1
}
