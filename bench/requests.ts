/**
 * What a request costs beside node:http and pg alone, which send the same bytes (the floor), and beside Fastify with its
 * usual plugins and request log. Ratios count: above 1 Trestle is the cheaper one.
 */
import { spawnSync } from "node:child_process"
import { hash } from "node:crypto"
import { existsSync } from "node:fs"
import { join } from "node:path"
import pg from "pg"
import app from "../app/app.ts"
import { connectionOptions } from "../kit/src/db/database.ts"
import { ledgersOf } from "../kit/src/db/migrations.ts"
import { createTestDatabase } from "../kit/src/db/test-database.ts"
import { compare, printHead, printRow, request, startSubject, type Workload } from "./measure.ts"

const settings = {
  API_TOKEN_HASH: hash("sha256", "bench"),
  RATE_LIMIT_LIMIT: "900000000/minute",
  TRUSTED_PROXIES: "127.0.0.1",
  CORS_ENABLED: "true",
  CORS_ALLOW_ORIGINS: "https://app.example.org",
}
const key = { "x-api-key": "bench" }

export async function requests(): Promise<void> {
  installPeers()
  const database = await createTestDatabase(await ledgersOf(app.folder))
  const id = await fill(database.address)
  const env = {
    BENCH_DATABASE: JSON.stringify(database.address),
    BENCH_SETTINGS: JSON.stringify(settings),
  }
  const trestle = await startSubject("trestle", "./servers/trestle.ts", env)
  const BENCH_HEADERS = JSON.stringify(await headersOf(`http://127.0.0.1:${trestle.port}/api/health`))
  const raw = await startSubject("raw", "./servers/raw.ts", { ...env, BENCH_HEADERS })
  const plugins = await startSubject("plugins", "./peers/fastify-plugins.js", env)

  const clients = Array.from({ length: 10_000 }, (_, i) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`)
  const small: Workload[] = [
    { name: "health, no database", requests: request("GET /api/health"), count: 40_000 },
    { name: "login with an API key", requests: request("GET /api/login", key), count: 40_000 },
    {
      name: "health, 10,000 clients",
      requests: clients.map((ip) => request("GET /api/health", { "x-forwarded-for": ip })),
      count: 40_000,
    },
  ]
  const large: Workload[] = [
    { name: "one movie", requests: request(`GET /api/movies/${id}`), count: 15_000 },
    { name: "20 movies", requests: request("GET /api/movies/?limit=20"), count: 6000 },
  ]
  try {
    const names = ["raw", "trestle", "plugins"]
    printHead(names, "trestle")
    for (const one of small) printRow(one.name, await compare([raw, trestle, plugins], one), names, "trestle")
    for (const one of large) printRow(one.name, await compare([raw, trestle], one), names, "trestle")
  } finally {
    for (const subject of [trestle, raw, plugins]) subject.stop()
    await database.drop()
  }
}

/** 200 movies; returns the id of one. */
export async function fill(address: Parameters<typeof connectionOptions>[0]): Promise<string> {
  const client = new pg.Client(connectionOptions(address))
  await client.connect()
  await client.query(`
    insert into movies (title, director, creator)
    select 'Movie ' || n, 'Director ' || n, gen_random_uuid() from generate_series(1, 200) n`)
  const { rows } = await client.query("select id from movies limit 1")
  await client.end()
  return rows[0].id
}

/** What the floor has to send too; what Node adds by itself is left out. */
export async function headersOf(url: string, headers: Record<string, string> = {}): Promise<Record<string, string>> {
  const own = new Set(["connection", "content-length", "date", "keep-alive"])
  const answer = await fetch(url, { headers })
  return Object.fromEntries([...answer.headers].filter(([name]) => !own.has(name)))
}

export function installPeers(): void {
  const cwd = join(import.meta.dirname, "peers")
  if (existsSync(join(cwd, "node_modules"))) return
  console.log("Installing what Trestle is measured against, into bench/peers …")
  spawnSync("npm", ["ci", "--no-workspaces", "--ignore-scripts", "--no-audit", "--no-fund"], { cwd, stdio: "inherit" })
}
