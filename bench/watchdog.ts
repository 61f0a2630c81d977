/** What the watchdog of a process costs its requests: the same server, with it and without. */
import app from "../app/app.ts"
import { ledgersOf } from "../kit/src/db/migrations.ts"
import { createTestDatabase } from "../kit/src/db/test-database.ts"
import { compare, printHead, printRow, request, startSubject } from "./measure.ts"

const names = ["watched", "unwatched"]

export async function watchdog(): Promise<void> {
  printHead(names, "watched")
  printRow("health, no database", await watchdogCosts(), names, "watched")
}

/** CPU of a small request, in microseconds, of a server that is watched and of one that is not. */
export async function watchdogCosts(): Promise<Map<string, number>> {
  const database = await createTestDatabase(await ledgersOf(app.folder))
  const env = {
    BENCH_DATABASE: JSON.stringify(database.address),
    BENCH_SETTINGS: JSON.stringify({ RATE_LIMIT_ENABLED: "false" }),
  }
  const watched = await startSubject("watched", "./servers/trestle.ts", { ...env, BENCH_WATCHDOG: "yes" })
  const unwatched = await startSubject("unwatched", "./servers/trestle.ts", env)
  try {
    const workload = { name: "health", requests: request("GET /api/health"), count: 40_000 }
    return await compare([watched, unwatched], workload, 6)
  } finally {
    watched.stop()
    unwatched.stop()
    await database.drop()
  }
}
