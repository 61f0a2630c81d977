/** Answers that are kept for whoever asks again, each committed together with what its request has done. */
import { sql } from "kysely"
import { conflict, HttpError } from "../../core/errors.ts"
import type { Db } from "../../db/database.ts"
import type { Answer } from "./answer.ts"
import type { KeyedRequest } from "./key.ts"

/** How many are deleted at once, so that no statement takes long. */
const sweepAtOnce = 1000

/**
 * Claims the key for the transaction: until that ends, by whatever, nobody else gets it.
 * @returns the answer of the request that had it before, if one is kept
 * @throws HttpError 409 while another transaction has the key, 422 when it was sent with another request
 */
export async function claim(tx: Db, { id, fingerprint }: KeyedRequest): Promise<Answer | undefined> {
  // PostgreSQL frees this lock with the transaction, and that ends with its connection, so with a killed process.
  const { rows: locks } = await sql<{ isOurs: boolean }>`
    select pg_try_advisory_xact_lock(${id.readBigInt64BE()}) as "isOurs"`.execute(tx)
  // A statement of its own: it sees what the one before us has committed, which a snapshot from before the lock might not.
  const { rows } = await sql<Answer & { fingerprint: Buffer }>`
    select fingerprint, status, headers, body from trestle.kept_answers
    where id = ${id} and expires > now()`.execute(tx)
  const [kept] = rows
  // Of several who ask again at once only one has the lock, and all may have the answer.
  if (!kept && !locks[0]?.isOurs) throw inFlight()
  if (kept && !kept.fingerprint.equals(fingerprint)) {
    throw new HttpError(422, "This Idempotency-Key was sent with another request. Take a new key for each.")
  }
  return kept
}

/** Keeps the answer for 24 hours, if the transaction is committed. */
export async function keep(tx: Db, { id, fingerprint }: KeyedRequest, answer: Answer): Promise<void> {
  const { status, headers } = answer
  const body = typeof answer.body === "string" ? Buffer.from(answer.body) : answer.body
  const { numAffectedRows } = await sql`
    insert into trestle.kept_answers as kept (id, fingerprint, status, headers, body, expires)
    values (${id}, ${fingerprint}, ${status}, ${JSON.stringify(headers)}, ${body}, now() + interval '24 hours')
    on conflict (id) do update set
      fingerprint = excluded.fingerprint, status = excluded.status, headers = excluded.headers, body = excluded.body,
      expires = excluded.expires
    where kept.expires <= now()`.execute(tx)
  // The lock keeps others out; should it ever fail to, what they have kept stays, and this transaction goes.
  if (numAffectedRows !== 1n) throw inFlight()
}

/** Deletes the expired ones. */
export async function sweepKeptAnswers(db: Db): Promise<void> {
  let deleted = sweepAtOnce
  while (deleted === sweepAtOnce) {
    // It waits for no row, so nothing waits for it in a circle.
    const { numAffectedRows } = await sql`
      delete from trestle.kept_answers where id in (
        select id from trestle.kept_answers where expires <= now() limit ${sweepAtOnce} for update skip locked
      )`.execute(db)
    deleted = Number(numAffectedRows)
  }
}

const inFlight = () =>
  conflict("A request with this Idempotency-Key is being answered. Ask again when it is done.", {
    headers: { "retry-after": "1" },
  })
