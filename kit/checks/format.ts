// Format and lint, by Biome; biome.json has the rules.
import { existsSync } from "node:fs"
import { join } from "node:path"
import { type Findings, root, runTool } from "./project.ts"

/** With `fix`, what can be put right is put right; what is left is a problem. */
export async function checkFormat({ fix }: { fix: boolean }): Promise<Findings> {
  const args = fix ? ["check", "--write"] : ["ci"]
  // An archive without a .git folder has no ignore rules that Biome could read: it is checked all the same.
  if (!existsSync(join(root, ".git"))) args.push("--vcs-enabled=false")
  const { failed, output } = await runTool("biome", [...args, "--colors=off", "--max-diagnostics=100"])
  return { problems: failed ? [output] : [] }
}
