/** The commands of `trestle`: what each does and takes. Its code is loaded when it is called. */
import type { Arguments } from "./command.ts"

/** A command; usage and the reading of its arguments follow from this. */
export interface Command {
  /** For the usage; a command without it is internal. */
  does?: string
  /** The words that must follow, in capitals: `"NAME"`, `"EMAIL ROLE"`. */
  words?: string
  /** What may follow, for a command that reads its arguments itself. */
  rest?: string
  /** What each flag does, by its name and that of its value: `"days N"`. */
  flags?: Record<string, string>
  load(): Promise<(args: Arguments) => Promise<void>>
}

export const commands: Record<string, Command> = {
  start: {
    does: "runs the server, in production",
    load: async () => {
      const { start } = await import("./start.ts")
      return () => start(["web", "job"])
    },
  },
  dev: {
    does: "runs it in development, again at each change",
    load: async () => (await import("./dev.ts")).dev,
  },
  "web-worker": {
    load: async () => {
      const { webWorker } = await import("./web-worker.ts")
      return () => webWorker("production")
    },
  },
  "dev-worker": {
    load: async () => {
      const { webWorker } = await import("./web-worker.ts")
      return () => webWorker("development")
    },
  },
  "job-worker": {
    load: async () => {
      const { jobWorker } = await import("./job-worker.ts")
      return () => jobWorker("crowd")
    },
  },
  "alone-worker": {
    load: async () => {
      const { jobWorker } = await import("./job-worker.ts")
      return () => jobWorker("alone")
    },
  },
  worker: {
    does: "only runs background jobs, on another machine than start",
    load: async () => {
      const { start } = await import("./start.ts")
      return () => start(["job"])
    },
  },
  status: {
    does: "says how the server's processes are",
    flags: { json: "for programs" },
    load: async () => (await import("./status.ts")).status,
  },
  reload: {
    does: "loads new code and settings, without losing a request",
    load: async () => (await import("./reload.ts")).reload,
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
    words: "NAME",
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
    words: "ID",
    load: async () => (await import("./token.ts")).revoke,
  },
  "user create": {
    does: "makes an account",
    words: "EMAIL",
    flags: {
      "role ROLE": "what it may do (default: accounts.default_role)",
      "first-name NAME": "of its owner",
      "last-name NAME": "of its owner",
      "company NAME": "of its owner",
      "password-stdin": "reads the password; without it one is made and printed, once",
    },
    load: async () => (await import("./user.ts")).create,
  },
  "user list": {
    does: "says which there are, oldest first",
    flags: {
      "search TEXT": "only those whose address or name has it",
      "role ROLE": "only those with this role, or that are disabled",
    },
    load: async () => (await import("./user.ts")).list,
  },
  "user role": {
    does: "gives another role, at once",
    words: "EMAIL ROLE",
    load: async () => (await import("./user.ts")).role,
  },
  "user disable": {
    does: "lets it in nowhere and ends its sessions, at once",
    words: "EMAIL",
    load: async () => (await import("./user.ts")).disable,
  },
  "user enable": {
    does: "lets it in again",
    words: "EMAIL",
    load: async () => (await import("./user.ts")).enable,
  },
  "user password": {
    does: "gives another password and ends its sessions, at once",
    words: "EMAIL",
    flags: { "password-stdin": "reads it; without it one is made and printed, once" },
    load: async () => (await import("./user.ts")).password,
  },
  "user import": {
    does: "takes over accounts from CSV or JSON, with their hashes",
    words: "FILE",
    flags: { "dry-run": "only says what it would do" },
    load: async () => (await import("./user-import.ts")).importUsers,
  },
  "jobs list": {
    does: "says how many background jobs wait, run and have ended",
    flags: { "name NAME": "the newest of this one", json: "for programs" },
    load: async () => (await import("./jobs.ts")).list,
  },
  "jobs dead": {
    does: "says which failed for good, and why",
    flags: { "name NAME": "only those of this one", json: "for programs" },
    load: async () => (await import("./jobs.ts")).dead,
  },
  "jobs retry": {
    does: 'sends a dead letter again, or "all" of them',
    words: "ID",
    load: async () => (await import("./jobs.ts")).retry,
  },
  "jobs cancel": {
    does: "calls one off, waiting or running",
    words: "ID",
    load: async () => (await import("./jobs.ts")).cancel,
  },
  "cron list": {
    does: "says which come by the clock, and when next",
    flags: { json: "for programs" },
    load: async () => (await import("./cron.ts")).list,
  },
  "cron run": {
    does: "sends one now",
    words: "NAME",
    load: async () => (await import("./cron.ts")).run,
  },
  routes: {
    does: "says what every route does, and who may call it",
    flags: { json: "for programs" },
    load: async () => (await import("./routes.ts")).routes,
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
