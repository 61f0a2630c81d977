#!/usr/bin/env node
// The launcher: every script of package.json goes through it. It makes sure that what follows runs on Node 24 or newer,
// and is plain JavaScript without dependencies because an older Node has to read it. Commands are in src/cli.
import { existsSync } from "node:fs"
import module from "node:module"
import { delimiter, dirname } from "node:path"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { endLike, runChild } from "./child.js"
import { leaveFirstPlace } from "./init.js"

const wanted = 24

/** The CLI: TypeScript in the repository, JavaScript in the published package. */
function cliMain() {
  const source = new URL("../src/cli/main.ts", import.meta.url)
  return existsSync(source) ? source : new URL("../dist/cli/main.js", import.meta.url)
}

/** Makes `node` mean this Node for everything that is started from here. */
function putFirstOnPath(node) {
  process.env.PATH = [dirname(node), process.env.PATH].filter(Boolean).join(delimiter)
}

async function launch(args) {
  leaveFirstPlace()
  const current = process.versions.node
  const isOld = Number.parseInt(current, 10) < wanted
  let node = process.execPath
  if (isOld) {
    const { installedNode } = await import("./install-node.js")
    node = await installedNode(current)
  }
  putFirstOnPath(node)
  if (args[0] === "node") return endLike(await runChild(node, args.slice(1)))
  if (isOld) return endLike(await runChild(node, [fileURLToPath(import.meta.url), ...args]))
  // A start is a quarter faster when what V8 compiled the last time is kept; where it cannot be written nothing is lost.
  module.enableCompileCache?.(fileURLToPath(new URL("../.cache", import.meta.url)))
  await import(cliMain().href)
}

launch(process.argv.slice(2)).catch((error) => {
  // Trouble with the installation is said in a sentence; anything else is a fault of ours and keeps its stack.
  console.error(error.name === "LaunchError" ? error.message : error)
  process.exitCode = 1
})
