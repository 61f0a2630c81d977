/** `trestle jobs list|dead|retry|cancel`: what waits and runs, and what failed for good. */

import { jobsOf, openCapabilities } from "../capabilities.ts"
import { BootError } from "../core/errors.ts"
import { escapeControls } from "../core/log/escape.ts"
import { didYouMean } from "../core/suggest.ts"
import { declareJobs } from "../jobs/boss.ts"
import type { Jobs } from "../jobs/job.ts"
import { countJobs, deadJobs, type ListedJob, newestJobs } from "../jobs/list.ts"
import { type Arguments, type CommandContext, withTables } from "./command.ts"

/** So many are shown of the newest. */
const shown = 50

export function list({ flags }: Arguments): Promise<void> {
  return withTables("jobs", async (context) => {
    const { db } = context
    const name = nameIn(context, flags.name)
    if (name) return printJobs(await newestJobs(db, name, shown), flags.json === true)
    const counts = await countJobs(db)
    if (flags.json) return print(JSON.stringify(counts, null, 2))
    if (counts.length === 0) return note("There are no jobs. They are known once the server has been started.")
    const columns = ["waiting", "delayed", "running", "done", "dead", "cancelled"] as const
    const width = Math.max(...counts.map(({ name }) => name.length), 3)
    print(`${"job".padEnd(width)}  ${columns.map((column) => column.padStart(11)).join("")}`)
    for (const row of counts) {
      print(`${row.name.padEnd(width)}  ${columns.map((column) => String(row[column]).padStart(11)).join("")}`)
    }
  })
}

export function dead({ flags }: Arguments): Promise<void> {
  return withTables("jobs", async (context) => {
    printJobs(await deadJobs(context.db, nameIn(context, flags.name), shown), flags.json === true)
  })
}

export function retry({ words: [id = ""] }: Arguments): Promise<void> {
  return withJobs(async (jobs, { db }) => {
    const ids = id === "all" ? (await deadJobs(db, undefined, 10_000)).map((job) => job.id) : [id]
    let count = 0
    for (const one of ids) if (await jobs.retry(one)) count++
    if (id === "all") return print(`${count} dead letters are sent again.`)
    if (count === 0) throw new BootError(`There is no dead letter ${id}. To see which there are: npx trestle jobs dead`)
    print(`${id} is sent again.`)
  })
}

export function cancel({ words: [id = ""] }: Arguments): Promise<void> {
  return withJobs(async (jobs) => {
    if (await jobs.cancel(id)) return print(`${id} is cancelled.`)
    const state = await jobs.find(id)
    throw new BootError(state ? `${id} has ended: it is ${state.phase}.` : `There is no job ${id}.`)
  })
}

/** Runs `work` with the jobs of the application, as its handlers have them. */
export function withJobs(work: (jobs: Jobs, context: CommandContext) => Promise<void>): Promise<void> {
  return withTables("jobs", async (context) => {
    const { app, config, log, database } = context
    const capabilities = openCapabilities({ app, config, mode: "production", database, log })
    try {
      // One that no server has been started with yet.
      await declareJobs(database, jobsOf(app), log)
      await work(capabilities.jobs, context)
    } finally {
      await capabilities.close()
    }
  })
}

function nameIn({ app }: CommandContext, name: string | boolean | undefined): string | undefined {
  if (typeof name !== "string") return undefined
  const names = jobsOf(app).map((job) => job.name)
  if (names.includes(name)) return name
  throw new BootError(`There is no job "${name}".${didYouMean(name, names)} There are: ${names.join(", ")}.`)
}

function printJobs(jobs: ListedJob[], isJson: boolean): void {
  if (isJson) print(JSON.stringify(jobs, null, 2))
  else if (jobs.length === 0) note("There are none.")
  else for (const job of jobs) print(lineOf(job))
  if (jobs.length === shown) note(`These are the newest ${shown}.`)
}

const lineOf = ({ id, name, state, created, attempts, error }: ListedJob): string =>
  `${id}  ${created.slice(0, 19)}Z  ${name}  ${state}  ${attempts} attempts  ${escapeControls(error ?? "")}`.trimEnd()

const print = (line: string) => void process.stdout.write(`${line}\n`)
const note = (line: string) => void process.stderr.write(`${line}\n`)
