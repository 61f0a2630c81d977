// Pages that are made from the code: what is committed must be what the code generates now.
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { configurationPage } from "../src/core/config/page.ts"
import { type Findings, root } from "./project.ts"

/** Path from the root, and what the page must say. */
const pages: Record<string, () => string | Promise<string>> = {
  "docs/configuration.md": configurationPage,
}

/** With `fix`, writes the pages anew. */
export async function checkGenerated({ fix }: { fix: boolean }): Promise<Findings> {
  const problems: string[] = []
  for (const [path, generate] of Object.entries(pages)) {
    const file = join(root, path)
    const text = await generate()
    if (existsSync(file) && readFileSync(file, "utf8") === text) continue
    if (fix) writeFileSync(file, text)
    else problems.push(`${path} is not what the code generates: run npm run check -- --fix`)
  }
  return { problems }
}
