/** Jobs that are put to the test: each attempt that comes to its end is written down. */
import { cron, type Db, job, sql, Type } from "trestle"

const done = (db: Db, name: string, n: number) =>
  sql`insert into runs (name, n, pid) values (${name}, ${n}, ${process.pid})`.execute(db)
const Numbered = Type.Object({ n: Type.Integer() })

/** Takes 50 ms; what it has begun is written down first. */
export const work = job("work", { data: Numbered, concurrency: 10 }, async ({ db, data }) => {
  await done(db, "begun", data.n)
  await new Promise((resolve) => setTimeout(resolve, 50))
  await done(db, "work", data.n)
})

/** Kills its process. */
export const kill = job("kill", { data: Numbered, retries: 2 }, () => void process.kill(process.pid, "SIGKILL"))

/** Runs while others kill. */
export const innocent = job("innocent", { data: Numbered, concurrency: 100 }, async ({ db, data }) => {
  await new Promise((resolve) => setTimeout(resolve, 200))
  await done(db, "innocent", data.n)
})

/** Never ends. */
export const endless = job("endless", { data: Numbered, timeout: "1 second", retries: 0 }, () => new Promise(() => {}))

/** Does next to nothing. */
export const quick = job("quick", { data: Numbered }, ({ db, data }) => done(db, "quick", data.n))

export const tick = cron("tick", "* * * * *", ({ db }) => done(db, "tick", 0))

export const jobs = [work, kill, innocent, endless, quick, tick]
