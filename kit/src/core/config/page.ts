/** The documentation of the settings, generated from their schema. */
import type { TSchema } from "typebox"
import type { SettingOptions } from "./kinds.ts"
import { allSections, type Sections, type Setting, settingsOf } from "./settings.ts"

/** Markdown: a table for each section, the application's own included when they are given. */
export function configurationTable(own?: Sections): string {
  const sections = allSections(own)
  const settings = settingsOf(sections)
  return Object.entries(sections)
    .map(([name, section]) => {
      const { description } = section as TSchema & SettingOptions
      const rows = settings.filter(({ path }) => path[0] === name).map(row)
      return [
        `### ${name}\n`,
        ...(description ? [`${description}\n`] : []),
        "| key | environment variable | default | what it does |",
        "|---|---|---|---|",
        ...rows,
      ].join("\n")
    })
    .join("\n\n")
}

/** The whole of `docs/configuration.md`. */
export function configurationPage(): string {
  return `${introduction}\n${configurationTable()}\n`
}

function row({ key, env, schema, required, secret }: Setting): string {
  const fallback = required
    ? "must be set"
    : schema.default === undefined
      ? "not set"
      : code(JSON.stringify(schema.default))
  const description = `${schema.description ?? ""}${secret ? " *Secret.*" : ""}`.trim()
  return `| \`${key}\` | \`${env}\` | ${fallback} | ${description.replaceAll("|", "\\|").replaceAll("\n", " ")} |`
}

const code = (text: string): string => `\`${text.replaceAll("|", "\\|")}\``

const introduction = `# Configuration

<!-- Generated from kit/src/core/config/schema.ts by \`npm run check -- --fix\`. Do not edit. -->

Everything has a default: a server without any configuration runs. What you set is taken from, each before the one above:

1. the defaults below,
2. \`config.json\` in the project's folder: what is the same everywhere, committed with the code,
3. \`.env\` beside it: secrets and what is special to this machine, not committed (start from \`.env.example\`),
4. the environment.

The server reads them once, at its start, and never writes them. No variable turns production into development or back:
\`trestle start\` is production, \`trestle dev\` is development.

## Names

In \`config.json\` a key stands in its section: \`{ "server": { "port": 8100 } }\`. Its environment variable is the path in
capitals, \`workers.request_timeout\` being \`WORKERS_REQUEST_TIMEOUT\`; the few with a name of their own are in the tables
below. An empty variable counts as not set. \`.env\` has lines such as \`PORT=8100\`; a value with a \`#\` or spaces needs quotes.

## Values

Values are checked strictly, and one message at the start names everything that is wrong, never showing a secret.

| kind | \`config.json\` | environment |
|---|---|---|
| number | \`8100\` | \`8100\`, digits only |
| yes or no | \`true\`, \`false\` | \`true\`, \`false\`, \`1\`, \`0\` |
| duration | \`"20 seconds"\` | \`20 seconds\`; units \`ms\`, \`s\`, \`min\`, \`h\`, \`d\`, their full names, and weeks |
| size | \`"1 MB"\` | \`1 MB\`; units \`B\`, \`kB\`, \`MB\`, \`GB\` (powers of 1000), \`KiB\`, \`MiB\`, \`GiB\` (powers of 1024) |
| list | \`["a", "b"]\` | \`a,b\` or JSON |
| object | \`{ "a": 1 }\` | JSON |

An unknown key in \`config.json\` is an error. In the environment other programs have their variables, so only a name that
is nearly one of these is an error: \`DATABASE_ULR\`, or \`SERVER_PORT\` where \`PORT\` is meant. It passes when the right name is set too.

## Settings of your own

An application declares a section with its own schema, hands it to \`defineApp({ config: { movies: moviesConfig } })\`, and
gets it checked and typed in the same way:

\`\`\`ts
import { Duration, type Section, Type } from "trestle"

export const moviesConfig = Type.Object({
  page_size: Type.Integer({ default: 20, minimum: 1, description: "Movies on a page." }), // MOVIES_PAGE_SIZE
  forget_after: Duration({ default: "30 days", maximum: "365 days", description: "When a movie is stale." }),
})
declare module "trestle" { interface AppConfig { movies: Section<typeof moviesConfig> } }
\`\`\`

Durations arrive in milliseconds, sizes in bytes. \`secret: true\` in a schema keeps a value out of every message. Any other
kind is a \`Type.Decode\`; the message of an error that it throws completes the sentence "must be …".

## All settings
`
