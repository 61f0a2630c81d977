/** Links in mails, for tests of what they open. */
import assert from "node:assert/strict"
import { sql } from "trestle"
import type { SentMail, TestApp } from "trestle/testing"

/** The path of the link in a mail, with its token. */
export function pathIn(mail: SentMail | undefined): string {
  const link = /https?:\/\/\S+/.exec(mail?.text ?? "")?.[0]
  assert.ok(link, `there is a link in ${mail?.text}`)
  assert.ok(mail?.html?.includes(link), "the HTML has the same one")
  return link.slice(new URL(link).origin.length)
}

/** The token of the link in a mail. */
export const tokenIn = (mail: SentMail | undefined): string =>
  new URL(pathIn(mail), "http://here.invalid").searchParams.get("token") ?? ""

/** Runs the jobs and returns the mails that they sent. */
export async function sentNow({ jobs, mails }: TestApp): Promise<SentMail[]> {
  const before = mails.length
  await jobs.run()
  return mails.slice(before)
}

/** Lets all links become an hour old. */
export const expireLinks = ({ db }: TestApp) => sql`update trestle.account_links set expires = now()`.execute(db)

/** Lets so many requests come to where they change an account, before any of them does. */
export async function atOnce<T>({ db }: TestApp, count: number, ask: (i: number) => Promise<T>): Promise<T[]> {
  const answers: Promise<T>[] = []
  await db.transaction().execute(async (tx) => {
    await sql`select 1 from trestle.users for update`.execute(tx)
    answers.push(...Array.from({ length: count }, (_, i) => ask(i)))
    for (let waiting = 0; waiting < count; ) {
      // Not in the transaction, which would be shown what it saw first.
      const { rows } = await sql<{ count: number }>`
        select count(*)::int as count from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'`.execute(db)
      waiting = rows[0]!.count
    }
  })
  return Promise.all(answers)
}
