// @together
/** Passwords: how they are hashed and checked, and how many at once. What they must be like: password-rules.test.ts. */
import assert from "node:assert/strict"
import { type TestContext, test } from "node:test"
import { setImmediate as nextTurn } from "node:timers/promises"
import { HttpError } from "trestle"
import { Turns } from "../src/auth/password-turns.ts"
import { createPasswords } from "../src/auth/passwords.ts"
import { runIn, type Scope } from "../src/core/scope.ts"

const wrong = { ok: false, outdated: false }

function open(t: TestContext, settings?: { parallel?: number }) {
  const passwords = createPasswords(settings)
  t.after(() => passwords.close())
  return passwords
}

test("a password is kept as Argon2id with OWASP's parameters, and checked", async (t) => {
  const passwords = open(t)
  const stored = await passwords.hash("a good password")
  assert.match(stored, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/)
  assert.notEqual(await passwords.hash("a good password"), stored, "each has a salt of its own")
  assert.deepEqual(await passwords.verify("a good password", stored), { ok: true, outdated: false })
  for (const other of ["A good password", "a good password ", ""]) {
    assert.deepEqual(await passwords.verify(other, stored), wrong)
  }
})

// pip install passlib==1.7.4 argon2-cffi, then:
//   from passlib.hash import pbkdf2_sha256 as p
//   p.using(rounds=29000, salt=bytes(range(16))).hash("correct horse battery staple")
//   p.using(rounds=1, salt=b"").hash("x")
//   p.using(rounds=12345, salt=b"\xfb\xff\xbe" * 8).hash("Zoe\u0308 \U0001F511")
//   from argon2.low_level import hash_secret, Type
//   hash_secret("Zo\u00eb \U0001F511".encode(), bytes(range(16)), 2, 19456, 1, 32, Type.ID)
//   hash_secret("Zo\u00eb \U0001F511".encode(), bytes(range(16)), 3, 65536, 4, 32, Type.ID)
// hashlib.pbkdf2_hmac("sha256", password, salt, rounds) gives the same digests.
const vectors: [password: string, stored: string, outdated: boolean][] = [
  [
    "correct horse battery staple",
    "$pbkdf2-sha256$29000$AAECAwQFBgcICQoLDA0ODw$m/kLywdyNwK9GV2kWntRGvZzmeiVsuqehNWlLst2eWY",
    true,
  ],
  ["x", "$pbkdf2-sha256$1$$2qJXLD6i.hGqErzkNuBeAbHaygkv5YpLBJM.8WDX22Q", true],
  [
    "Zoe\u0308 \u{1F511}",
    "$pbkdf2-sha256$12345$./.../.../.../.../.../.../.../..$SIbQXdlwqw4LN2Prjj6k/TSHiRogqv9LassZ08f9v18",
    true,
  ],
  [
    "Zo\u00eb \u{1F511}",
    "$argon2id$v=19$m=19456,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$rdTk6GTpd6FUZK+/O4EfzN4NjAVOx4ZQ2b4JiErYVlU",
    false,
  ],
  [
    "Zo\u00eb \u{1F511}",
    "$argon2id$v=19$m=65536,t=3,p=4$AAECAwQFBgcICQoLDA0ODw$acKtr7At/155nwB6FRA1WEUQOeq5t4mSP2+/9W8JFGA",
    true,
  ],
]

test("hashes of passlib and of other Argon2 libraries are checked, and those not made as today are outdated", async (t) => {
  const passwords = open(t)
  for (const [password, stored, outdated] of vectors) {
    assert.deepEqual(await passwords.verify(password, stored), { ok: true, outdated }, stored)
    assert.deepEqual(await passwords.verify(`${password}!`, stored), wrong, stored)
  }
})

test("one password is one password however a keyboard composes it, except where passlib kept its bytes", async (t) => {
  const passwords = open(t)
  const stored = await passwords.hash("Zo\u00eb \u00e9t\u00e9 2\u00b2")
  assert.deepEqual(await passwords.verify("Zoe\u0308 e\u0301te\u0301 2\u00b2", stored), { ok: true, outdated: false })
  assert.deepEqual(await passwords.verify("Zo\u00eb \u00e9t\u00e9 22", stored), wrong)
  assert.deepEqual(await passwords.verify("Zo\u00eb \u{1F511}", vectors[2]![1]), wrong)
})

test("a hash that is missing, unknown or beyond all bounds matches nothing", async (t) => {
  const passwords = open(t)
  const salt = "AAECAwQFBgcICQoLDA0ODw"
  const digest = "m/kLywdyNwK9GV2kWntRGvZzmeiVsuqehNWlLst2eWY"
  const strange = [
    null,
    undefined,
    "",
    "correct horse battery staple",
    "$2b$12$KIXQ4vZxQ9Zc9y1yqQW8he0x0QxVb4qYp1dXkV0m2nGq1nZc2Zy0W",
    `$pbkdf2-sha256$0$${salt}$${digest}`,
    `$pbkdf2-sha256$10000001$${salt}$${digest}`,
    `$pbkdf2-sha256$29000$${salt}$${digest}A`,
    `$pbkdf2-sha256$29000$${"A".repeat(2000)}$${digest}`,
    `$pbkdf2-sha256$29000$${salt}$${digest}\n`,
    `$pbkdf2-sha512$29000$${salt}$${digest}`,
    `$argon2id$v=19$m=9999999,t=2,p=1$${salt}$${digest}`,
    `$argon2id$v=19$m=19456,t=0,p=1$${salt}$${digest}`,
    `$argon2id$v=19$m=8,t=2,p=2$${salt}$${digest}`,
    `$argon2id$v=16$m=19456,t=2,p=1$${salt}$${digest}`,
    `$argon2id$v=19$m=19456,t=2,p=1$AAAA$${digest}`,
    `$argon2id$v=19$m=19456,t=2,p=1$${salt}$AAAA`,
  ]
  for (const stored of strange) {
    assert.deepEqual(await passwords.verify("correct horse battery staple", stored), wrong, String(stored))
  }
})

test("a password longer than any that was hashed is wrong, and takes no longer", async (t) => {
  const passwords = open(t)
  const stored = await passwords.hash("\u00e9".repeat(128))
  assert.equal((await passwords.verify("e\u0301".repeat(128), stored)).ok, true)
  // Normalising this would take minutes.
  const endless = `a${"\u0301".repeat(500_000)}${"\u0316".repeat(500_000)}`
  const began = performance.now()
  assert.deepEqual(await passwords.verify(endless, stored), wrong)
  assert.ok(performance.now() - began < 5000)
  await assert.rejects(passwords.hash(endless), RangeError)
})

test("the answer for an account that does not exist, or came from passlib, costs as much as any other", async (t) => {
  const passwords = open(t, { parallel: 1 })
  const stored = {
    known: await passwords.hash("a good password"),
    unknown: undefined,
    passlib: vectors[0]![1],
  }
  const kinds = ["known", "unknown", "passlib"] as const
  // Of the process, and the least of several: what else the machine does only adds.
  const costs = { known: Infinity, unknown: Infinity, passlib: Infinity }
  for (let i = 0; i < 15; i++) {
    for (const kind of kinds) {
      const before = process.cpuUsage()
      await passwords.verify("a wrong password", stored[kind])
      const { user, system } = process.cpuUsage(before)
      costs[kind] = Math.min(costs[kind], user + system)
    }
  }
  t.diagnostic(kinds.map((kind) => `${kind} ${(costs[kind] / 1000).toFixed(1)} ms of CPU`).join(", "))
  // Without the work for nothing, unknown would cost 0.1 of it, and passlib 0.2.
  for (const kind of kinds) assert.ok(costs[kind] > 0.6 * costs.known && costs[kind] < 1.7 * costs.known, kind)
})

test("the event loop goes on while passwords are hashed", async (t) => {
  const passwords = open(t)
  let turns = 0
  let isOver = false
  const turn = () => {
    turns++
    if (!isOver) setImmediate(turn)
  }
  setImmediate(turn)
  await Promise.all(Array.from({ length: 4 }, () => passwords.hash("a good password")))
  isOver = true
  assert.ok(turns > 20, `${turns} turns`)
})

const is503 = (error: unknown) => {
  assert.ok(error instanceof HttpError)
  assert.equal(error.statusCode, 503)
  assert.ok(Number(error.headers?.["retry-after"]) > 0)
  return true
}

test("200 may wait for their turn, the next is told to come again, and closing sends all away", async (t) => {
  const passwords = open(t, { parallel: 1 })
  const first = passwords.hash("the first")
  const waiting = Array.from({ length: 200 }, (_, i) =>
    passwords.verify("a password", i % 2 ? undefined : vectors[3]![1]),
  )
  await assert.rejects(passwords.verify("a password", undefined), (error: Error) => {
    assert.equal(error.message, "Too many logins at once. Try again soon.")
    return is503(error)
  })
  passwords.close()
  for (const answer of await Promise.allSettled(waiting)) {
    assert.equal(answer.status, "rejected")
    is503(answer.reason)
  }
  assert.match(await first, /^\$argon2id/)
  await assert.rejects(passwords.hash("too late"), is503)
})

/** Work that the test ends, one by one. */
function jobs(turns: Turns) {
  const begun: number[] = []
  const ends: PromiseWithResolvers<void>[] = []
  const add = () => {
    const number = ends.length
    const end = Promise.withResolvers<void>()
    ends.push(end)
    return turns.take(async () => {
      begun.push(number)
      await end.promise
      return number
    })
  }
  return {
    begun,
    add,
    end: (number: number) => ends[number]!.resolve(),
    fail: (number: number) => ends[number]!.reject(new Error("no")),
  }
}

test("so many are computed at once as was said, in the order in which they came, and a failure frees its place", async () => {
  const { begun, add, end, fail } = jobs(new Turns(2, 10))
  const all = [add(), add(), add(), add(), add()]
  await nextTurn()
  assert.deepEqual(begun, [0, 1])
  fail(1)
  await assert.rejects(all[1]!, /no/)
  end(0)
  assert.equal(await all[0], 0)
  await nextTurn()
  assert.deepEqual(begun, [0, 1, 2, 3])
  end(2)
  assert.equal(await all[2], 2)
  assert.deepEqual(begun, [0, 1, 2, 3, 4])
  end(3)
  end(4)
  assert.deepEqual(await Promise.all(all.slice(3)), [3, 4])
})

test("who is called off leaves the queue", async () => {
  const { begun, add, end } = jobs(new Turns(1, 2))
  const listeners = new Set<(reason: Error) => void>()
  const scope: Scope & { abortReason: Error | undefined } = {
    abortReason: undefined,
    onAbort: (listener) => void listeners.add(listener),
    offAbort: (listener) => void listeners.delete(listener),
  }
  const first = add()
  const [second, third] = [runIn(scope, add), add()]
  await assert.rejects(add(), is503)
  scope.abortReason = new Error("called off")
  for (const listener of listeners) listener(scope.abortReason)
  await assert.rejects(second, /called off/)
  await assert.rejects(runIn(scope, add), /called off/)
  const last = add()
  for (const number of [0, 2, 5]) end(number)
  assert.deepEqual(await Promise.all([first, third, last]), [0, 2, 5])
  assert.deepEqual(begun, [0, 2, 5])
  assert.equal(listeners.size, 0)
})
