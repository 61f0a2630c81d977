// The types of everything that tsconfig.json includes.
import { type Findings, runTool } from "./project.ts"

/** Every line is one mistake, as tsc says it. */
export async function checkTypes(): Promise<Findings> {
  const { failed, output } = await runTool("tsc", ["--noEmit", "--pretty", "false"])
  return { problems: failed ? output.split("\n") : [] }
}
