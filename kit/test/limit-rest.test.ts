// @together
/** The talk of limits stays cheap: the more is said at a time, the rarer it is. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { type LimitAnswer, type LimitQuestion, restAfter, shareOf } from "../src/core/limit-messages.ts"
import { Log } from "../src/core/log.ts"
import { SharedLimits } from "../src/http/shared-limits.ts"
import { LimitShares } from "../src/supervisor/limit-shares.ts"
import { fakeTimers } from "./fake-timers.ts"

test("a rest is as long as the messages before it were many, and has its bounds", () => {
  assert.deepEqual(
    [0, 1, 20, 50, 1000].map((messages) => restAfter(messages, 5)),
    [5, 5, 10, 25, 35],
  )
})

/** The supervisor's part with the processes 1 and 2, both with the limit "x". */
function supervisor(rest: (answers: number) => number) {
  const sent: [number, LimitAnswer][] = []
  const shares = new LimitShares({ send: (id, answer) => void sent.push([id, answer]), rest })
  for (const id of [1, 2]) {
    shares.add(id)
    shares.receive(id, { about: "limit", limit: "x", max: 100, windowMs: 3_600_000 })
  }
  const ask = (id: number, client: string) =>
    shares.receive(id, { about: "more", limit: "x", window: 0, client, used: 0, waiting: 1, id: 1 })
  return { sent, ask }
}

test("answers wait for each other while the supervisor rests", (t) => {
  let now = 1000
  t.mock.method(performance, "now", () => now)
  t.mock.timers.enable({ apis: ["setTimeout"] })
  const pass = (ms: number) => {
    now += ms
    t.mock.timers.tick(ms)
  }
  const rests: number[] = []
  const { sent, ask } = supervisor((answers) => {
    rests.push(answers)
    return 30
  })
  pass(30)
  pass(30)
  sent.length = 0
  rests.length = 0
  ask(1, "a")
  assert.equal(sent.length, 1)
  assert.equal(sent[0]![1].about, "granted")
  for (const client of ["b", "c"]) ask(1, client)
  ask(2, "d")
  pass(29)
  assert.equal(sent.length, 1)
  pass(1)
  assert.deepEqual(
    sent.slice(1).map(([id, answer]) => [id, answer.about === "several" ? answer.answers.length : 1]),
    [
      [1, 2],
      [2, 1],
    ],
  )
  assert.deepEqual(rests, [1, 3])
})

test("a process that asks much asks seldom", (t) => {
  let now = 1000
  t.mock.method(performance, "now", () => now)
  t.mock.timers.enable({ apis: ["setTimeout", "setImmediate"] })
  const pass = (ms: number) => {
    now += ms
    t.mock.timers.tick(ms)
  }
  const asked: LimitQuestion[] = []
  let hear = (_: LimitAnswer) => {}
  const limits = new SharedLimits(
    {
      windowsFrom: 0,
      ask: (question) => void asked.push(question),
      onAnswer: (listener) => (hear = listener),
      onLost: () => {},
    },
    { maxClients: 10, log: new Log("off", "server") },
  )
  const question: LimitQuestion = { about: "returned", limit: "x", window: 0, client: "a", used: 1 }
  const askAfter = (count: number) => {
    asked.length = 0
    for (let i = 0; i < count; i++) limits.ask(question)
    let ms = 0
    for (pass(0); asked.length === 0; ms++) pass(1)
    assert.deepEqual(asked, [{ about: "several", questions: Array(count).fill(question) }])
    return ms
  }
  assert.equal(askAfter(2), 0)
  assert.equal(askAfter(20), 5)
  assert.equal(askAfter(2), 10)
  // Three others ask as much.
  hear({ about: "share", processes: 4 })
  pass(5)
  pass(5)
  assert.equal(askAfter(10), 0)
  assert.equal(askAfter(2), 20)
})

test("a client that reaches one process makes it ask seldom, however many processes there are", () => {
  for (const processes of [2, 8, 32]) {
    let now = 0
    const granted: number[] = []
    const shares = new LimitShares({
      send(id, answer) {
        for (const one of answer.about === "several" ? answer.answers : [answer]) {
          if (one.about === "recall") returned.push(id)
          else if (one.about === "granted") granted.push(one.upTo)
          else if (one.about === "share") shares.receive(id, { about: "share", processes: one.processes, from: now })
        }
      },
      rest: () => 0,
      now: () => now,
    })
    const returned: number[] = []
    for (let id = 1; id <= processes; id++) {
      shares.add(id)
      shares.receive(id, { about: "limit", limit: "x", max: 1000, windowMs: 3_600_000 })
    }
    now = 2 * 3_600_000
    const place = { limit: "x", window: 2, client: "a" }
    let used = shareOf(1000, processes)
    let asked = 0
    while (used < 1000) {
      shares.receive(1, { about: "more", ...place, used, waiting: 1, id: ++asked })
      for (const id of returned.splice(0)) shares.receive(id, { about: "returned", ...place, used: 0 })
      used = granted.pop()!
    }
    assert.equal(used, 1000)
    assert.ok(asked <= 20, `${processes} processes: ${asked} questions`)
  }
})

test("a supervisor that speaks of others is asked again, and only one that says nothing is taken for silent", async (t) => {
  let now = 1000
  t.mock.method(performance, "now", () => now)
  const tick = fakeTimers(t, () => now)
  const pass = (ms: number) => {
    for (let i = 0; i < ms; i++) {
      now++
      tick()
    }
  }
  let asked = 0
  let hear = (_: LimitAnswer) => {}
  const limits = new SharedLimits(
    {
      windowsFrom: 0,
      ask(question) {
        for (const one of question.about === "several" ? question.questions : [question]) {
          if (one.about === "more") asked++
        }
      },
      onAnswer: (listener) => (hear = listener),
      onLost: () => {},
    },
    { maxClients: 10, log: new Log("off", "server") },
  )
  const counter = limits.counter("x", { limit: 5, windowMs: 3_600_000 })
  const counted = counter.count("a", now)
  assert.ok(typeof counted !== "number")
  for (let i = 0; i < 40; i++) {
    pass(100)
    hear({ about: "denied", limit: "x 5/3600000", window: 0, client: "another" })
  }
  assert.equal(limits.isAlone, false)
  assert.ok(asked > 3, `${asked} times`)
  pass(2000)
  assert.equal(limits.isAlone, true)
  assert.equal((await counted).count, 1)
})
