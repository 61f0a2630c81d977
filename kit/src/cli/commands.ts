/** The commands of `trestle`: what each does and takes. Its code is loaded when it is called. */
import type { Arguments } from "./command.ts"

/** A command; usage and the reading of its arguments follow from this. */
export interface Command {
  /** For the usage; a command without it is internal. */
  does?: string
  /** The word that must follow, in capitals: `"NAME"`. */
  word?: string
  /** What may follow, for a command that reads its arguments itself. */
  rest?: string
  /** What each flag does, by its name and that of its value: `"days N"`. */
  flags?: Record<string, string>
  load(): Promise<(args: Arguments) => Promise<void>>
}

export const commands: Record<string, Command> = {
  start: {
    does: "runs the server, in production",
    load: async () => (await import("./start.ts")).start,
  },
  dev: {
    does: "runs it in development, again at each change",
    load: async () => (await import("./dev.ts")).dev,
  },
  "dev-server": {
    load: async () => (await import("./dev.ts")).devServer,
  },
  test: {
    does: "runs the tests, on a database of their own",
    rest: "[FILES]",
    load: async () => (await import("./test.ts")).test,
  },
  "migrate up": {
    does: "applies the pending migrations",
    load: async () => (await import("./migrate.ts")).up,
  },
  "migrate down": {
    does: "takes back the newest",
    flags: { kit: "of the kit's instead of the application's" },
    load: async () => (await import("./migrate.ts")).down,
  },
  "migrate status": {
    does: "says which were applied, and when",
    load: async () => (await import("./migrate.ts")).status,
  },
  "migrate new": {
    does: "makes a file for the next one",
    word: "NAME",
    load: async () => (await import("./migrate.ts")).create,
  },
  "token new": {
    does: "makes an API key and prints its token, once",
    flags: {
      "name NAME": 'what it is for (default: "token")',
      "role ROLE": "what it may do (default: editor)",
      "expires WHEN": '"90 days", or a date such as 2027-06-30 (default: never)',
    },
    load: async () => (await import("./token.ts")).create,
  },
  "token list": {
    does: "says which there are, and when they were last used",
    load: async () => (await import("./token.ts")).list,
  },
  "token revoke": {
    does: "ends one, by its id or name",
    word: "ID",
    load: async () => (await import("./token.ts")).revoke,
  },
  "db url": {
    does: 'prints how psql connects to the database: psql "$(npx trestle db url)"',
    load: async () => (await import("./db.ts")).url,
  },
  certificate: {
    does: "makes a self-signed certificate and its key, for this machine",
    flags: {
      "days N": "for how long (default: 365, at most 825)",
      force: "replaces the ones that are there",
    },
    load: async () => (await import("./certificate.ts")).certificate,
  },
  config: {
    does: "prints each setting, and where it comes from",
    load: async () => (await import("./config.ts")).config,
  },
}
