/** A server whose processes are watched from outside, and what is asked of it. */
import http from "node:http"
import type { TestContext } from "node:test"
import { ledgersOf } from "../src/db/migrations.ts"
import { createTestDatabase } from "../src/db/test-database.ts"
import type { Status } from "../src/supervisor/status.ts"
import { until } from "./embedded/scratch.ts"
import { makeProject, type Project, urlOf } from "./project.ts"

/** Says which process answers, and blocks, crashes or waits when it is asked to. */
export const application = (version = 1) => `import { type Api, defineApp, Type } from "trestle"

const open = { role: "visitor", schema: { querystring: Type.Object({ ms: Type.Integer({ default: 0 }) }), response: { 200: Type.Any() } } } as const
const routes = (api: Api) => {
  /** Says who answers. */
  api.get("/who", open, async ({ query }) => {
    if (query.ms > 0) await new Promise((resolve) => setTimeout(resolve, query.ms))
    return { pid: process.pid, version: ${version} }
  })
  /** Stands still. */
  api.get("/block", open, async () => {
    for (;;);
  })
  /** Never answers. */
  api.get("/never", { ...open, timeout: "500 ms" }, async ({ signal }) => {
    await new Promise((resolve) => signal.addEventListener("abort", () => (console.log("aborted"), resolve(1))))
    await new Promise(() => {})
  })
}
export default defineApp({ name: "sample", routes: { test: routes }, folder: import.meta.dirname })
`

export interface Who {
  pid: number
  version: number
}

/** A project whose server runs, on a database that is there already. */
export async function startServer(t: TestContext, env: Record<string, string> = {}) {
  const { address, drop } = await createTestDatabase(await ledgersOf("/nonexistent"))
  t.after(drop)
  const project = await makeProject(t, { "app/app.ts": application() })
  const settings = { DATABASE_URL: urlOf(address), WORKERS_WEB: "2", RATE_LIMIT_ENABLED: "false", ...env }
  const server = project.start(["start"], settings)
  const [, url = ""] = await server.says(/is at (http\S+)\n/)
  const who = async (path = "/who"): Promise<Who> => (await fetch(`${url}/api/test${path}`)).json() as Promise<Who>
  return { project, server, url, who, settings }
}

export async function statusOfServer(project: Project): Promise<Status> {
  return JSON.parse((await project.run(["status", "--json"])).stdout) as Status
}

/** Asks over new connections until the answers come from so many processes. */
export async function processes(who: () => Promise<Who>, count: number, isTrue = (_: Who) => true): Promise<number[]> {
  const pids = new Set<number>()
  await until(async () => {
    pids.clear()
    for (let i = 0; i < 40 && pids.size < count; i++) {
      const answer = await who()
      if (isTrue(answer)) pids.add(answer.pid)
    }
    return pids.size >= count
  })
  return [...pids]
}

/** One request on a connection of its own. */
export function ask(url: string): Promise<Who> {
  return new Promise((resolve, reject) => {
    const request = http.get(url, { agent: new http.Agent({ keepAlive: false }) }, async (response) => {
      let text = ""
      for await (const chunk of response) text += chunk
      resolve(JSON.parse(text))
    })
    request.on("error", reject)
  })
}

/** Asked on a connection of its own. */
export function statusOf(url: string): Promise<number> {
  return new Promise((resolve, reject) => {
    http
      .get(url, { agent: new http.Agent({ keepAlive: false }) }, (response) => {
        response.resume()
        resolve(response.statusCode!)
      })
      .on("error", reject)
  })
}
