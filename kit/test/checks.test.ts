// @together
// The checks on wrong trees and wrong pages: each rule refuses what it is for, and nothing else.
import assert from "node:assert/strict"
import { test } from "node:test"
import { defineApp, Type } from "trestle"
import { findInFiles } from "../checks/architecture.ts"
import { findInPages, type Project } from "../checks/documentation.ts"
import { readPage } from "../checks/markdown.ts"
import { findSilentRoutes, routesOf } from "../checks/routes.ts"
import { quotedBlockProblems, snippetProblems } from "../checks/snippets.ts"

function architecture(files: Record<string, string>) {
  return findInFiles(new Map(Object.entries(files)))
}

const soundTree = {
  "kit/src/core/errors.ts": "export class HttpError extends Error {}",
  "kit/src/db/pool.ts": 'import { HttpError } from "../core/errors.ts"\nimport pg from "pg"',
  "kit/src/db/migrations/001_keys.ts": "export const up = 1",
  "kit/src/app.ts": 'import type { Pool } from "./db/pool.ts"',
  "kit/src/http/limits.ts": 'import {\n  pool,\n} from "../db/pool.ts"\nimport type { Api } from "../app.ts"',
  "kit/src/server.ts": 'import { limits } from "./http/limits.ts"',
  "kit/src/index.ts": 'export { server } from "./server.ts"\nexport * from "./core/errors.ts"',
  "kit/src/supervisor/watch.ts": 'import "../core/errors.ts"\nimport "../db/pool.ts"',
  "kit/src/cli/web-worker.ts": 'const { watch } = await import("../supervisor/watch.ts")\nimport "../server.ts"',
  "app/app.ts":
    'import { defineApp } from "trestle"\nimport { movies } from "./movies/routes.ts"\nexport default defineApp({})',
  "app/movies/routes.ts": 'import { movie } from "trestle"',
  "test/movies.test.ts": 'import app from "../app/app.ts"\nimport { testApp } from "trestle/testing"',
}

test("a sound tree has no problems", () => {
  assert.deepEqual(architecture(soundTree), { problems: [], warnings: [] })
})

test("imports against the order of capabilities are refused", () => {
  const wrong: Record<string, [path: string, text: string]> = {
    "imports run one way, and core may import nothing": ["kit/src/core/log.ts", 'import "../db/pool.ts"'],
    "imports run one way, and db may import only core": ["kit/src/db/keys.ts", 'export { a } from "../auth/keys.ts"'],
    "http, docs, ops do not know each other": ["kit/src/docs/page.ts", 'import type { A } from "../http/limits.ts"'],
    "supervisor may import only core, db": ["kit/src/supervisor/start.ts", 'import "../server.ts"'],
    "may import only core, db, store, jobs, mail, webhooks, app.ts, auth, http, docs, ops": [
      "kit/src/other.ts",
      'import "./cli/start.ts"',
    ],
    "http may import only core": ["kit/src/http/start.ts", 'await import("../server.ts")'],
    "index.ts is for applications": ["kit/src/cli/routes.ts", 'import { a } from "../index.ts"'],
    "the kit imports its own files by their paths": ["kit/src/db/own.ts", 'import { a } from "trestle"'],
    "the published kit has nothing but kit/src": ["kit/src/db/out.ts", 'import { a } from "../../test/sample.ts"'],
    'import from "trestle" or "trestle/testing" instead': [
      "app/deep.ts",
      'import { a } from "../kit/src/core/errors.ts"',
    ],
    'the kit exports "trestle" and "trestle/testing", nothing deeper': ["test/a.test.ts", 'import "trestle/src/db"'],
  }
  for (const [sentence, [path, text]] of Object.entries(wrong)) {
    const { problems } = architecture({ ...soundTree, [path]: text })
    assert.equal(problems.length, 1, `${path}: ${problems.join("\n")}`)
    assert.ok(problems[0]!.includes(sentence), problems[0])
  }
})

test("what only starts processes may not lead to the server", () => {
  const { problems } = architecture({
    ...soundTree,
    "kit/src/cli/start.ts": 'import "./place.ts"\nimport "../supervisor/watch.ts"',
    "kit/src/cli/place.ts": 'import { urlOf } from "./web-worker.ts"',
  })
  const trail = "kit/src/cli/start.ts → kit/src/cli/place.ts → kit/src/cli/web-worker.ts → kit/src/server.ts"
  assert.deepEqual(problems, [`${trail}: this process only starts others and should not load the server`])
})

test("an import that stands in a comment or in a text is none", () => {
  const text =
    'const page = `\n\\`\\`\\`ts\nimport { Type } from "trestle"\n`\n' +
    '/**\n * import { a } from "../db/pool.ts"\n */\n// import "../db/pool.ts"'
  assert.deepEqual(architecture({ ...soundTree, "kit/src/core/log.ts": text }).problems, [])
})

test("a folder of the kit that has no place in the order is refused", () => {
  const { problems } = architecture({ "kit/src/cache/lru.ts": "" })
  assert.match(problems.join(), /kit\/src\/cache\/ has no place in the order of capabilities/)
})

test("import cycles are named from file to file", () => {
  const { problems } = architecture({
    "kit/src/db/a.ts": 'import "./b.ts"',
    "kit/src/db/b.ts": 'import "./c.ts"',
    "kit/src/db/c.ts": 'import type { A } from "./a.ts"',
  })
  assert.deepEqual(problems, ["import cycle: kit/src/db/a.ts → kit/src/db/b.ts → kit/src/db/c.ts → kit/src/db/a.ts"])
})

test("default exports, names that say nothing and names that are not kebab-case are refused", () => {
  const wrong = {
    "app/movies/routes.ts": "export default 1",
    "kit/src/db/pool.ts": "export { pool as default }",
    "kit/src/core/string-utils.ts": "",
    "app/types.ts": "",
    "app/helpers/date.ts": "",
    "kit/src/core/myFile.ts": "",
  }
  const { problems } = architecture(wrong)
  for (const path of Object.keys(wrong))
    assert.equal(problems.filter((problem) => problem.includes(path)).length, 1, path)
})

test("a file of more than 300 lines is a warning", () => {
  const { problems, warnings } = architecture({ "app/long.ts": "//\n".repeat(301) })
  assert.deepEqual([problems.length, warnings.length], [0, 1])
})

const files: Record<string, string> = {
  "app/app.ts": "export  default\n  defineApp({ name })",
  "app/movies/routes.ts": "",
  "docs/jobs.md": "# Background jobs\n## Retries & back-off\n## Retries & back-off\n",
  LICENSE: "MIT",
}
const project: Project = {
  exists: (path) => Object.keys(files).some((file) => file === path || file.startsWith(`${path}/`)),
  read: (path) => files[path]!,
  topLevel: ["LICENSE", "app", "docs"],
  ignored: ["data"],
  scripts: ["start", "check"],
  commands: ["db", "node"],
}

function documentation(text: string, path = "README.md"): string[] {
  return findInPages(new Map([[path, text]]), project)
}

const soundTreeBlock = `## What is where
\`\`\`
LICENSE  data/
app/          the example: rename it
  app.ts      routes, jobs
  movies/     routes.ts and what belongs to it
docs/         jobs.md, to be read in order
\`\`\``

test("a sound page has no problems", () => {
  const page = `# Title
[jobs](docs/jobs.md#retries--back-off-1) [here](#title) [web](https://example.org/#x) \`[code](nowhere)\`
${soundTreeBlock}
\`\`\`sh
npm ci && npm start
npm run check -- --fix
npx trestle db url
\`\`\`
\`\`\`ts
// app/app.ts
export default defineApp({ name })
\`\`\``
  assert.deepEqual(documentation(page), [])
})

test("links and anchors that lead nowhere are refused", () => {
  const wrong = ["docs/none.md", "docs/jobs.md#none", "#none", "/none", "docs/../none.md"]
  for (const target of wrong) assert.equal(documentation(`# Title\n[text](${target})`).length, 1, target)
  assert.deepEqual(documentation("[up](../app/app.ts) [beside](jobs.md)", "docs/mail.md"), [])
  assert.deepEqual(documentation("[up](app/app.ts)", "docs/mail.md"), [
    "docs/mail.md:1: the link app/app.ts leads nowhere",
  ])
})

test("the tree names what is there, and everything at the top", () => {
  assert.deepEqual(documentation(soundTreeBlock.replace("  app.ts ", "  main.ts")), [
    "README.md:5: the tree names app/main.ts, which is not there",
  ])
  assert.deepEqual(documentation(soundTreeBlock.replace("routes.ts and", "schema.ts and")), [
    "README.md:6: the tree names schema.ts, which is not there",
  ])
  assert.deepEqual(documentation(soundTreeBlock.replace("LICENSE  ", "")), [
    "README.md:3: the tree does not name LICENSE",
  ])
})

test("commands that do not exist are refused", () => {
  for (const command of ["npm run deploy", "npm stop", "npx trestle deploy"]) {
    assert.equal(documentation(`\`\`\`sh\n${command}\n\`\`\``).length, 1, command)
  }
})

test("a block that names a file has to stand in it", () => {
  const problemsOf = (file: string, code: string) =>
    quotedBlockProblems("README.md", readPage(`\`\`\`ts\n// ${file}\n${code}\n\`\`\``), project)
  assert.deepEqual(problemsOf("app/app.ts", "export default defineApp({ name })"), [])
  assert.deepEqual(problemsOf("app/app.ts", "export default defineApp({ other })"), [
    "README.md:2: this is not what app/app.ts says",
  ])
  assert.deepEqual(problemsOf("app/gone.ts", "const a = 1"), [
    "README.md:2: this shows app/gone.ts, which is not there",
  ])
})

test("other blocks of TypeScript have to pass the compiler, and mistakes are said with the page's line", async () => {
  const page = 'text\n\n```ts\nimport assert from "node:assert"\nassert.ok(1)\nconst number: number = "text"\n```\n'
  const [problem, ...others] = await snippetProblems(new Map([["docs/a.md", page]]))
  assert.match(problem!, /^docs\/a\.md:6: error TS2322/)
  assert.deepEqual(others, [])
})

test("a route without a summary is refused", async () => {
  const schema = { response: { 200: Type.Object({}) } }
  const app = defineApp({
    name: "silent",
    folder: import.meta.dirname,
    routes: {
      movies: async (api) => {
        /** Lists movies. */
        api.get("/", { role: "visitor", schema }, async () => ({}))
        api.get("/old", { role: "visitor", schema: { ...schema, summary: "Lists old movies." } }, async () => ({}))

        api.post("/", { role: "editor", schema }, async () => ({}))
      },
    },
  })
  const { problems } = findSilentRoutes(await routesOf(app))
  assert.deepEqual(problems, ["POST /api/movies has no summary: write a doc comment above the route"])
})
