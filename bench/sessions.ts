/**
 * What a request behind a session costs: beside node:http and pg that read a session from Redis for each, and beside Fastify with
 * its usual plugins and @fastify/session on Redis. Needs redis-server.
 */
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Redis } from "ioredis"
import app from "../app/app.ts"
import { ledgersOf } from "../kit/src/db/migrations.ts"
import { createTestDatabase } from "../kit/src/db/test-database.ts"
import { compare, printHead, printRow, request, type Subject, startSubject, type Workload } from "./measure.ts"
import { fill, headersOf, installPeers } from "./requests.ts"

const settings = {
  RATE_LIMIT_LIMIT: "900000000/minute",
  TRUSTED_PROXIES: "127.0.0.1",
  CORS_ENABLED: "true",
  CORS_ALLOW_ORIGINS: "https://app.example.org",
}

export async function sessions(): Promise<void> {
  if (spawnSync("redis-server", ["--version"]).error) {
    console.log("There is no redis-server here, which the others keep their sessions in.")
    return
  }
  installPeers()
  const folder = mkdtempSync(join(tmpdir(), "trestle-bench-"))
  const socket = join(folder, "redis.sock")
  const options = ["--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no"]
  const redisServer = spawn("redis-server", options, { stdio: ["ignore", "pipe", "inherit"] })
  await once(redisServer.stdout, "data")
  const redis = new Redis(socket)
  const database = await createTestDatabase(await ledgersOf(app.folder))
  const subjects: Subject[] = []
  try {
    const id = await fill(database.address)
    const env = {
      BENCH_DATABASE: JSON.stringify(database.address),
      BENCH_PG: JSON.stringify(database.address),
      BENCH_SETTINGS: JSON.stringify(settings),
      BENCH_REDIS: socket,
    }
    const trestle = await startSubject("trestle", "./servers/trestle.ts", env)
    subjects.push(trestle)
    const cookies = new Map([["trestle", await signUp(trestle.port)]])
    const BENCH_HEADERS = JSON.stringify(
      await headersOf(`http://127.0.0.1:${trestle.port}/bench/movies/${id}`, { cookie: cookies.get("trestle")! }),
    )
    const raw = await startSubject("raw", "./servers/raw-sessions.ts", { ...env, BENCH_HEADERS })
    subjects.push(raw)
    await redis.set("session:bench", JSON.stringify({ user: "00000000-0000-8000-8000-000000000001", role: "editor" }))
    cookies.set("raw", "session=bench")
    const plugins = await startSubject("plugins", "./peers/fastify-session.js", env)
    subjects.push(plugins)
    cookies.set("plugins", await cookieFrom(await fetch(`http://127.0.0.1:${plugins.port}/login`)))

    const movie = JSON.stringify({ title: "Forrest Gump", director: "Robert Zemeckis" })
    const workloads: [name: string, line: string, count: number, body?: string][] = [
      ["one movie", `GET /bench/movies/${id}`, 15_000],
      ["20 movies", "GET /bench/movies", 6000],
      ["insert a movie", "POST /bench/movies", 6000, movie],
    ]
    const names = ["raw", "trestle", "plugins"]
    printHead(names, "trestle")
    for (const [name, line, count, body] of workloads) {
      const type: Record<string, string> = body === undefined ? {} : { "content-type": "application/json" }
      const asked = (subject: Subject) => request(line, { cookie: cookies.get(subject.name)!, ...type }, body)
      const workload: Workload = { name, requests: asked, count }
      printRow(name, await compare([raw, trestle, plugins], workload), names, "trestle")
    }
  } finally {
    for (const subject of subjects) subject.stop()
    redis.disconnect()
    redisServer.kill()
    await database.drop()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function signUp(port: number): Promise<string> {
  const body = { email: "bench@example.com", password: "Correct horse bench 7", fname: "Bench", lname: "Mark" }
  const answer = await fetch(`http://127.0.0.1:${port}/api/signup`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  })
  return cookieFrom(answer)
}

function cookieFrom(answer: Response): string {
  const [cookie] = answer.headers.getSetCookie().filter((line) => /^session/i.test(line))
  if (!answer.ok || !cookie) throw new Error(`No session: ${answer.status}`)
  return cookie.split(";", 1)[0]!
}
