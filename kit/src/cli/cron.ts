/** `trestle cron list|run`: what comes by the clock. */
import { jobsOf } from "../capabilities.ts"
import { BootError } from "../core/errors.ts"
import { didYouMean } from "../core/suggest.ts"
import { ticksOf } from "../jobs/define.ts"
import type { Arguments } from "./command.ts"
import { withJobs } from "./jobs.ts"
import { findProject, loadApp } from "./project.ts"

/** Says when each comes next. It asks the application, not the database. */
export async function list({ flags }: Arguments): Promise<void> {
  const crons = jobsOf(await loadApp(findProject())).flatMap(({ name, schedule }) =>
    schedule ? [{ name, ...schedule }] : [],
  )
  const now = new Date()
  const listed = crons.map((cron) => ({ ...cron, next: ticksOf(cron, now)[0]!.toISOString() }))
  if (flags.json) return print(JSON.stringify(listed, null, 2))
  if (listed.length === 0) return void process.stderr.write("There are no crons.\n")
  const width = Math.max(...listed.map(({ name }) => name.length))
  for (const { name, expression, timeZone, next } of listed) {
    print(`${name.padEnd(width)}  ${expression.padEnd(16)}  ${timeZone.padEnd(16)}  next at ${next}`)
  }
}

/** Sends one now. It runs where jobs run, unless it runs already. */
export function run({ words: [name = ""] }: Arguments): Promise<void> {
  return withJobs(async (jobs, { app }) => {
    const crons = jobsOf(app).filter(({ schedule }) => schedule)
    const cron = crons.find((cron) => cron.name === name)
    if (!cron)
      throw new BootError(
        `There is no cron "${name}".${didYouMean(
          name,
          crons.map((cron) => cron.name),
        )}`,
      )
    print(await jobs.send(cron, {}))
  })
}

const print = (line: string) => void process.stdout.write(`${line}\n`)
