/** `trestle`: runs the command that it is called with. */
import { readFileSync } from "node:fs"
import { BootError } from "../core/errors.ts"
import { findCommand, readArguments, usage } from "./arguments.ts"
import { commands } from "./commands.ts"

async function main(args: string[]): Promise<void> {
  const [first = "help"] = args
  if (first === "--version" || first === "-v") return print(version())
  if (first === "help") return print(usage(args.slice(1)))
  if (args.includes("--help") || args.includes("-h")) return print(usage(args))
  const name = findCommand(args)
  const read = readArguments(name, args.slice(name.split(" ").length))
  const run = await commands[name]!.load()
  await run(read)
}

const version = (): string => JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")).version
const print = (text: string): void => void process.stdout.write(`${text}\n`)

// Whoever read the output may go away, as `head` does and a terminal that is closed: nothing to stop for.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {})

try {
  await main(process.argv.slice(2))
} catch (error) {
  // A boot error says all that its reader needs; any other is a defect, and its stack says where.
  process.stderr.write(`${error instanceof BootError ? error.message : ((error as Error)?.stack ?? error)}\n`)
  process.exitCode = 1
}
