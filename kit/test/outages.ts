/** What tests of outages share: eyes on the database, writers, and the time that answers took. */
import assert from "node:assert/strict"
import { sql } from "trestle"
import { Log } from "../src/core/log.ts"
import { type Database, type DatabaseAddress, type Db, openDatabase } from "../src/db/database.ts"
import type { Browser } from "./browser.ts"

/** One connection of the test's own. */
export function openEyes(address: DatabaseAddress): Database {
  const settings = { poolSize: 1, connectTimeoutMs: 60_000, statementTimeoutMs: 0, idleInTransactionTimeoutMs: 0 }
  return openDatabase(address, { ...settings, preparedStatements: false, logSql: false }, new Log("error"))
}

/** The answer, and how long it took. */
export async function timed<A extends { status: number }>(call: Promise<A>): Promise<A & { ms: number }> {
  const began = performance.now()
  return { ...(await call), ms: performance.now() - began }
}

export const slowest = (answers: { ms: number }[]) => `${Math.round(Math.max(...answers.map(({ ms }) => ms)))} ms`

/** Asks until it is answered; how long that took. */
export async function recovered(call: () => Promise<{ status: number }>): Promise<string> {
  const began = performance.now()
  for (const end = began + 60_000; ; ) {
    const { status } = await call()
    if (status === 200) return `${Math.round(performance.now() - began)} ms`
    assert.equal(status, 503)
    assert.ok(performance.now() < end, "it does not come back")
  }
}

/** Writes row after row to `/api/sample/rows`, in so many loops at once, until it is ended; gives the ids that were acknowledged. */
export function writeRows(visitor: Browser, loops: number) {
  const acknowledged: string[] = []
  const other = new Map<number, number>()
  let isOver = false
  const all = Array.from({ length: loops }, async () => {
    while (!isOver) {
      const id = crypto.randomUUID()
      const { status } = await visitor.post(`/api/sample/rows/${id}`)
      if (status === 200) acknowledged.push(id)
      else other.set(status, (other.get(status) ?? 0) + 1)
    }
  })
  return {
    acknowledged,
    other,
    async end() {
      isOver = true
      await Promise.all(all)
    },
  }
}

/** Acknowledged rows that are missing, and those of which only one half is there. */
export async function lost(eyes: Db, acknowledged: string[]) {
  const { rows } = await sql<{ id: string; n: number }>`select id, count(*)::int as n from rows group by id`.execute(
    eyes,
  )
  const found = new Set(rows.map(({ id }) => id))
  return { missing: acknowledged.filter((id) => !found.has(id)), halves: rows.filter(({ n }) => n !== 2) }
}
