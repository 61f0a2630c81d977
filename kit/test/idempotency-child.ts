/**
 * A server for the test of kills, on the database of its first argument. It kills itself as the body says, the first time that a
 * number comes: before the commit, or when all is committed and the answer is about to be written.
 */
import { type Api, sql, Type } from "trestle"
import { sampleApp } from "./sample/app.ts"
import { serveOn } from "./serve-on.ts"

const body = Type.Object({ n: Type.Integer(), dies: Type.String() })
const response = { 201: Type.Object({ n: Type.Integer(), pid: Type.Integer() }) }

function routes(api: Api): void {
  api.post("/", { role: "editor", idempotent: true, schema: { body, response } }, async ({ body, tx }, reply) => {
    const { n, dies } = body
    await sql`insert into kept values (${n})`.execute(tx)
    const { rows } = await sql`insert into begun values (${n}) on conflict do nothing returning n`.execute(api.db)
    const die = () => process.kill(process.pid, "SIGKILL")
    if (rows.length > 0 && dies === "before the commit") die()
    if (rows.length > 0 && dies === "after the commit") reply.raw.writeHead = die as never
    return reply.code(201).send({ n, pid: process.pid })
  })
}

const { url } = await serveOn({ after: () => {} }, sampleApp(routes), JSON.parse(process.argv[2]!))
process.send?.(url)
process.on("disconnect", () => process.exit())
