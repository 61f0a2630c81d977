// @together
/** The talk of limits stays cheap: the more it costs the supervisor, the rarer it is. */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { LimitAnswer, LimitQuestion } from "../src/core/limit-messages.ts"
import { Log } from "../src/core/log.ts"
import { SharedLimits } from "../src/http/shared-limits.ts"
import { LimitShares } from "../src/supervisor/limit-shares.ts"
import { restsAfter } from "../src/supervisor/rest.ts"

test("the supervisor rests 80 times as long as it worked, 10 ms at least and 75 ms at most", () => {
  let [now, used] = [0, 0]
  const rest = restsAfter(
    () => used,
    () => now,
  )
  const work = (cpuMs: number, waitedMs: number) => {
    used += cpuMs
    now += waitedMs
    return Math.round(rest())
  }
  assert.equal(work(0.1, 5), 10)
  assert.equal(work(0.5, 10), 40)
  // The rest of before is over: it does not count a second time.
  assert.equal(work(0.5, 40), 40)
  assert.equal(work(0.5, 52), 28)
  assert.equal(work(20, 28), 75)
  // Nobody asked for long.
  assert.equal(work(20, 10_000), 10)
})

/** The supervisor's part with the processes 1 and 2, both with the limit "x". */
function supervisor(rest: () => number) {
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

test("answers wait for each other while the supervisor rests, and tell how long it rests", (t) => {
  let now = 1000
  t.mock.method(performance, "now", () => now)
  t.mock.timers.enable({ apis: ["setTimeout"] })
  const pass = (ms: number) => {
    now += ms
    t.mock.timers.tick(ms)
  }
  const { sent, ask } = supervisor(() => 30)
  pass(30)
  sent.length = 0
  pass(30)
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
  const [, several] = sent[1]!
  assert.ok(several.about === "several" && several.everyMs === 30)
})

test("a process asks as seldom as the supervisor answers", (t) => {
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
  const returned = (client: string): LimitQuestion => ({ about: "returned", limit: "x", window: 0, client, used: 1 })
  const askAfter = () => {
    asked.length = 0
    limits.ask(returned("a"))
    limits.ask(returned("b"))
    let ms = 0
    for (pass(0); asked.length === 0; ms++) pass(1)
    assert.deepEqual(asked, [{ about: "several", questions: [returned("a"), returned("b")] }])
    return ms
  }
  assert.equal(askAfter(), 0)
  assert.equal(askAfter(), 5)
  hear({ about: "several", answers: [], everyMs: 60 })
  assert.equal(askAfter(), 60)
  hear({ about: "denied", limit: "x", window: 0, client: "a" })
  assert.equal(askAfter(), 5)
})
