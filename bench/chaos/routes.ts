/** The application that is put to the test: each route says which process answers, or does what a bad day brings. */
import { spawn } from "node:child_process"
import { type Api, sql, Type } from "trestle"
import { jobs } from "./jobs-app.ts"

const anything = { 200: Type.Any() }
const open = { role: "visitor", schema: { response: anything } } as const

const kept: Buffer[] = []

export function routes(api: Api): void {
  const { db, kv } = api

  /** Says who answers. */
  api.get("/who", open, async () => ({ pid: process.pid }))

  /** Says who answers, and what it was sent. */
  api.post(
    "/who",
    { role: "visitor", schema: { body: Type.Object({ n: Type.Integer() }), response: anything } },
    async ({ body }) => ({ pid: process.pid, n: body.n }),
  )

  /** Takes its time. */
  api.get(
    "/wait",
    { role: "visitor", schema: { querystring: Type.Object({ ms: Type.Integer() }), response: anything } },
    async ({ query }) => {
      await new Promise((resolve) => setTimeout(resolve, query.ms))
      return { pid: process.pid }
    },
  )

  /** Loops for ever. */
  api.get("/loop", open, async () => {
    for (;;); // the line of the loop
  })

  /** Tries a regular expression on a text that it needs years for. */
  api.get("/regex", open, async () => {
    return /^(a+)+$/.test(`${"a".repeat(60)}!`) // the line of the expression
  })

  /** Waits for a query that takes an hour, and when that was cancelled for ever. */
  api.get("/never", { ...open, timeout: "1 second" }, async ({ signal }) => {
    signal.addEventListener("abort", () => api.log.info("The signal has aborted."))
    await sql`select pg_sleep(3600)`.execute(db).catch(() => {})
    await new Promise(() => {})
  })

  /** Keeps two megabytes, each time that it is called. */
  api.get("/leak", open, async () => {
    kept.push(Buffer.alloc(2_000_000, 1))
    return { pid: process.pid }
  })

  /** Leaves a process behind that has no parent any more when it ends. */
  api.get("/orphan", open, async () => {
    spawn("sh", ["-c", "sleep 0.2 &"], { stdio: "ignore" })
    return { pid: process.pid }
  })

  const Numbered = Type.Object({ n: Type.Integer() })

  /** Keeps a number in PostgreSQL. */
  api.post("/rows", { role: "visitor", schema: { body: Numbered, response: anything } }, async ({ body }) => {
    await sql`insert into numbers (n) values (${body.n})`.execute(db)
    return { pid: process.pid }
  })

  const Deadly = Type.Object({ n: Type.Integer(), dies: Type.Boolean() })
  const once = { role: "editor", idempotent: true, schema: { body: Deadly, response: anything } } as const

  /** Keeps a number once, and dies when it has, before it can say so. */
  api.post("/once", once, async ({ body, tx }, reply) => {
    await sql`insert into numbers (n) values (${body.n})`.execute(tx)
    // The head is written when all is committed; to who asks again the handler has nothing to say.
    if (body.dies) reply.raw.writeHead = () => process.kill(process.pid, "SIGKILL") as never
    return { pid: process.pid, n: body.n }
  })

  /** Keeps a number in Redis. */
  api.post("/items", { role: "visitor", schema: { body: Numbered, response: anything } }, async ({ body }) => {
    await kv.append("numbers", body.n)
    return { pid: process.pid }
  })

  /** Gives the numbers that Redis has. */
  api.get("/items", open, async () => kv.items("numbers"))

  /** May be called a hundred times an hour. */
  api.get("/limited", { ...open, rateLimit: "100/hour" }, async () => ({ pid: process.pid }))

  /** Logs a thousand lines. */
  api.post("/lines", { role: "visitor", schema: { body: Numbered, response: anything } }, async ({ body }) => {
    for (let i = 0; i < 1000; i++) api.log.info(`line ${body.n} ${i} ${"-".repeat(60)} end`)
    return { pid: process.pid }
  })

  const Sent = Type.Object({
    name: Type.String(),
    from: Type.Integer(),
    count: Type.Integer(),
    isApart: Type.Boolean({ default: false }),
    isRolledBack: Type.Boolean({ default: false }),
  })

  /** Sends numbered jobs in one transaction, or each in one of its own, which may be rolled back. */
  api.post(
    "/jobs",
    { role: "visitor", timeout: "2 minutes", schema: { body: Sent, response: anything } },
    async ({ body: { name, from, count, isApart, isRolledBack } }) => {
      const sent = jobs.find((one) => one.name === name)!
      const numbers = Array.from({ length: count }, (_, i) => from + i)
      const send = (some: number[]) =>
        db.transaction().execute(async (tx) => {
          for (const n of some) await api.jobs.send(sent, { n }, { tx })
          if (isRolledBack) throw new Error("rolled back")
        })
      if (!isApart) await send(numbers)
      else await Promise.allSettled(numbers.map((n) => send([n])))
      return {}
    },
  )
}
