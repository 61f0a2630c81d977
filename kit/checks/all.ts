// `npm run check`: every check, one line each; `-- --fix` puts right what a program can put right.
import { checkArchitecture } from "./architecture.ts"
import { checkDocumentation } from "./documentation.ts"
import { checkFormat } from "./format.ts"
import { checkGenerated } from "./generated.ts"
import type { Findings } from "./project.ts"
import { checkRoutes } from "./routes.ts"
import { checkTypes } from "./typecheck.ts"

const fix = process.argv.includes("--fix")

const checks: Record<string, () => Findings | Promise<Findings>> = {
  "generated pages": () => checkGenerated({ fix }),
  "format and lint": () => checkFormat({ fix }),
  types: checkTypes,
  architecture: checkArchitecture,
  routes: checkRoutes,
  documentation: checkDocumentation,
}

for (const [name, check] of Object.entries(checks)) {
  const start = performance.now()
  const { problems, warnings = [] } = await findings(check)
  const seconds = ((performance.now() - start) / 1000).toFixed(1)
  console.log(`${problems.length === 0 ? "✓" : "✗"} ${name}  ${seconds} s`)
  for (const line of [...warnings.map((warning) => `warning: ${warning}`), ...problems]) {
    console.log(line.replace(/^/gm, "  "))
  }
  if (problems.length > 0) process.exitCode = 1
}

/** A check that breaks has failed; the others run all the same. */
async function findings(check: () => Findings | Promise<Findings>): Promise<Findings> {
  try {
    return await check()
  } catch (error) {
    return { problems: [error instanceof Error ? (error.stack ?? error.message) : String(error)] }
  }
}
