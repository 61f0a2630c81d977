/**
 * What logins cost and tell: how well the time of an answer tells an account from none (AUC: 0.5 is a coin, 1 is certain), with a
 * control that does not hash for nothing; the same of forgotten passwords, with a control that sends a job for accounts only; and
 * how long the event loop is held up at 20 logins a second.
 */
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { setTimeout as pause } from "node:timers/promises"
import app from "../app/app.ts"
import { accountByEmail, createAccount } from "../kit/src/auth/accounts.ts"
import { sendLink } from "../kit/src/auth/link-job.ts"
import { createPasswords } from "../kit/src/auth/passwords.ts"
import { jobsOf } from "../kit/src/capabilities.ts"
import { databaseSettings } from "../kit/src/cli/database.ts"
import { loadConfig } from "../kit/src/core/config/index.ts"
import { Log } from "../kit/src/core/log.ts"
import { openDatabase } from "../kit/src/db/database.ts"
import { ledgersOf } from "../kit/src/db/migrations.ts"
import { createTestDatabase } from "../kit/src/db/test-database.ts"
import { declareJobs } from "../kit/src/jobs/boss.ts"
import { openJobs } from "../kit/src/jobs/jobs.ts"

const samples = 1000
const settings = { RATE_LIMIT_ENABLED: "false", TRUSTED_PROXIES: "127.0.0.1" }

export async function login(): Promise<void> {
  const test = await createTestDatabase(await ledgersOf(app.folder))
  const config = loadConfig({ folder: "/nonexistent", env: {} })
  const log = new Log("error")
  const database = openDatabase(test.address, databaseSettings(config), log)
  await declareJobs(database, jobsOf(app), log)
  const jobs = openJobs(database, jobsOf(app), log)
  const passwords = createPasswords()
  const password = await passwords.hash("Correct horse bench 7")
  for (let i = 0; i < samples; i++) {
    const names = { first_name: "Known", last_name: String(i) }
    await createAccount(database.db, { email: `known${i}@example.com`, password, role: "editor", ...names })
  }
  const child = fork(new URL("./servers/trestle.ts", import.meta.url), {
    env: {
      ...process.env,
      BENCH_DATABASE: JSON.stringify(test.address),
      BENCH_SETTINGS: JSON.stringify(settings),
    },
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  })
  try {
    const [{ port }] = (await once(child, "message")) as [{ port: number }]
    for (let i = 0; i < 50; i++) await tryLogin(port, `warm${i}@example.com`, i)

    const times = await measure((name, i) => tryLogin(port, `${name}${i}@example.com`, i + 100))
    console.log(`AUC of the time of an answer, ${samples} each:        ${auc(times).toFixed(3)} (over HTTP)`)
    const careless = (name: string) => passwords.verify("wrong", name === "known" ? password : undefined)
    const control = await measure((name) => (name === "known" ? careless(name) : Promise.resolve()))
    console.log(`the control, which does not hash for unknown:      ${auc(control).toFixed(3)}`)

    for (let i = 0; i < 50; i++) await forget(port, `warm${i}@example.com`, i)
    const forgotten = await measure((name, i) => forget(port, `${name}${i}@example.com`, i + 100))
    console.log(`AUC of the time of forgot, ${samples} each:           ${auc(forgotten).toFixed(3)} (over HTTP)`)
    const telling = async (email: string) => {
      if (await accountByEmail(database.db, email)) await jobs.send(sendLink, { purpose: "reset", email })
    }
    const told = await measure((name, i) => telling(`${name}${i}@example.com`))
    console.log(`the control, which sends a job to accounts only:   ${auc(told).toFixed(3)}`)

    console.log(`event loop, nothing to do:  ${await delays(child, async () => pause(3000))}`)
    const twentyASecond = async () => {
      const all: Promise<number>[] = []
      for (let i = 0; i < 200; i++) {
        all.push(tryLogin(port, `known${i}@example.com`, 5000 + i))
        await pause(50)
      }
      await Promise.all(all)
    }
    console.log(`event loop, 20 logins/s:    ${await delays(child, twentyASecond)}`)
  } finally {
    child.kill()
    passwords.close()
    await jobs.close()
    await database.close()
    await test.drop()
  }
}

/** Tries a wrong password, each time from another address. */
const tryLogin = (port: number, email: string, number: number) =>
  post(`http://127.0.0.1:${port}/api/login`, { email, password: "Something else 7" }, { number, expected: 400 })

/** Asks for a link to a new password, each time from another address. */
const forget = (port: number, email: string, number: number) =>
  post(`http://127.0.0.1:${port}/api/password/forgot`, { email }, { number, expected: 202 })

/** Returns how long the answer took, in milliseconds. */
async function post(
  url: string,
  body: object,
  { number, expected }: { number: number; expected: number },
): Promise<number> {
  const address = `10.${(number >> 16) & 255}.${(number >> 8) & 255}.${number & 255}`
  const began = performance.now()
  const answer = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", "x-forwarded-for": address },
    body: JSON.stringify(body),
  })
  await answer.text()
  if (answer.status !== expected) throw new Error(`${url} answered ${answer.status}.`)
  return performance.now() - began
}

/** Times of known and unknown addresses, asked in a shuffled order. */
async function measure(ask: (name: string, i: number) => Promise<unknown>): Promise<Record<string, number[]>> {
  const order = Array.from({ length: 2 * samples }, (_, i) => ({ name: i % 2 ? "known" : "unknown", i: i >> 1 }))
  for (let i = order.length - 1; i > 0; i--) {
    const other = Math.floor(Math.random() * (i + 1))
    ;[order[i], order[other]] = [order[other]!, order[i]!]
  }
  const times: Record<string, number[]> = { known: [], unknown: [] }
  for (const { name, i } of order) {
    const began = performance.now()
    await ask(name, i)
    times[name]!.push(performance.now() - began)
  }
  return times
}

/** How often a known address took longer than an unknown one, or shorter if that tells more. */
function auc({ known = [], unknown = [] }: Record<string, number[]>): number {
  let longer = 0
  for (const a of known) for (const b of unknown) longer += a > b ? 1 : a === b ? 0.5 : 0
  const share = longer / (known.length * unknown.length)
  return Math.max(share, 1 - share)
}

/** The delay of the server's event loop while `work` runs. */
async function delays(child: ChildProcess, work: () => Promise<unknown>): Promise<string> {
  const ask = async () => {
    const answer = once(child, "message") as Promise<[{ delays: { p50: number; p99: number; max: number } }]>
    child.send("delays")
    return (await answer)[0].delays
  }
  await ask()
  await work()
  const { p50, p99, max } = await ask()
  return `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, longest ${max.toFixed(1)} ms`
}
