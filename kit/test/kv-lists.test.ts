// @together
/** Lists, and those who wait for their items. */
import assert from "node:assert/strict"
import type { Kv } from "trestle"
import { runIn, type Scope } from "../src/core/scope.ts"
import { both, until } from "./kv-stores.ts"

/** Work that a test calls off. */
class Work implements Scope {
  abortReason: Error | undefined
  private readonly listeners = new Set<(reason: Error) => void>()
  onAbort(listener: (reason: Error) => void): void {
    this.listeners.add(listener)
  }
  offAbort(listener: (reason: Error) => void): void {
    this.listeners.delete(listener)
  }
  callOff(): Error {
    this.abortReason = new Error("The client hung up.")
    for (const listener of this.listeners) listener(this.abortReason)
    return this.abortReason
  }
  get isListenedTo(): boolean {
    return this.listeners.size > 0
  }
}

both("a list hands out its items in the order in which they came", async ({ kv, other }) => {
  assert.equal(await kv.pop("list"), undefined)
  assert.equal(await kv.peek("list"), undefined)
  for (const [i, item] of ["a", null, { b: 1 }].entries()) assert.equal(await kv.append("list", item), i + 1)
  assert.equal(await other.length("list"), 3)
  assert.deepEqual(await other.items("list"), ["a", null, { b: 1 }])
  assert.deepEqual(await other.items("list", { limit: 2 }), ["a", null])
  assert.equal(await other.peek("list"), "a")
  assert.equal(await other.pop("list"), "a")
  assert.equal(await kv.pop("list"), null)
  assert.equal(await kv.append("list", "c"), 2)
  assert.deepEqual([await kv.pop("list"), await kv.pop("list"), await kv.pop("list")], [{ b: 1 }, "c", undefined])
  assert.equal(await kv.length("list"), 0)
})

both("beyond its maximum a list drops the oldest, whoever appends", async ({ kv, other }) => {
  for (let i = 1; i <= 15; i++) assert.equal(await kv.append("list", i, { max: 10 }), Math.min(i, 10))
  assert.deepEqual(await kv.items("list"), [6, 7, 8, 9, 10, 11, 12, 13, 14, 15])
  assert.equal(await kv.append("list", 16, { max: 3 }), 3)
  assert.deepEqual(await kv.items("list"), [14, 15, 16])
  assert.equal(await kv.append("list", 17), 4)
  assert.equal(await kv.append("list", 18, { max: 1 }), 1)

  const lengths = await Promise.all(
    Array.from({ length: 200 }, (_, i) => (i % 2 ? kv : other).append("many", i, { max: 20 })),
  )
  assert.deepEqual(
    lengths.toSorted((a, b) => a - b),
    Array.from({ length: 200 }, (_, i) => Math.min(i + 1, 20)),
  )
  assert.equal(await kv.length("many"), 20)
  assert.equal((await kv.items("many")).length, 20)
})

both("200 items go to 8 who wait, each to one of them", async ({ kv, other }) => {
  const got: number[] = []
  const popper = async (kv: Kv) => {
    for (;;) {
      const item = await kv.pop<number | "end">("list", { wait: "1 minute" })
      assert.notEqual(item, undefined)
      if (item === "end") return
      got.push(item as number)
    }
  }
  const poppers = Array.from({ length: 8 }, (_, i) => popper(i % 2 ? kv : other))
  const items = Array.from({ length: 200 }, (_, i) => i)
  await Promise.all(items.map((i) => (i % 3 ? kv : other).append("list", i)))
  await until(
    () => kv.length("list"),
    (length) => length === 0,
  )
  for (let i = 0; i < 8; i++) await other.append("list", "end")
  await Promise.all(poppers)
  assert.deepEqual(
    got.toSorted((a, b) => a - b),
    items,
  )
})

both("who waits is told of an item, and does not look for it once a second", async ({ kv, other }) => {
  const turns = 30
  const answer = async () => {
    for (let i = 0; i < turns; i++) await other.append("pong", await other.pop("ping", { wait: "1 minute" }))
  }
  const answering = answer()
  const began = performance.now()
  for (let i = 0; i < turns; i++) {
    await kv.append("ping", i)
    assert.equal(await kv.pop("pong", { wait: "1 minute" }), i)
  }
  await answering
  const each = (performance.now() - began) / turns
  // 1 to 3 ms; who looks once a second needs 400.
  assert.ok(each < 300, `${each} ms`)
})

both("who waits gets an item although the connection that tells was cut", async ({ kv, other, cutListeners }) => {
  const waiting = other.pop("list", { wait: "1 minute" })
  await cutListeners()
  await kv.append("list", "heard")
  assert.equal(await waiting, "heard")
})

both("a wait ends after its time with nothing", async ({ kv }) => {
  const began = performance.now()
  assert.equal(await kv.pop("list", { wait: "50 ms" }), undefined)
  assert.ok(performance.now() - began >= 49)
  await kv.append("list", 1)
  assert.equal(await kv.pop("list", { wait: 1 }), 1)
})

both("a wait ends with the work that it is for, and takes nothing", async ({ kv, other }) => {
  const work = new Work()
  const waiting = runIn(work, () => kv.pop("list", { wait: "1 minute" }))
  const second = kv.pop("list", { wait: "1 minute" })
  await until(async () => work.isListenedTo, Boolean)
  const reason = work.callOff()
  await assert.rejects(waiting, reason)
  await assert.rejects(
    runIn(work, () => kv.pop("list")),
    reason,
  )
  await other.append("list", "for the second")
  assert.equal(await second, "for the second")
  assert.ok(!work.isListenedTo)
})

both("an item is not lost to work that is called off while it is taken", async ({ kv, other }) => {
  for (let i = 0; i < 20; i++) {
    await kv.append("list", "first")
    await kv.append("list", "second")
    const work = new Work()
    const taking = runIn(work, () => kv.pop("list"))
    // The command is on its way, and nothing calls it back.
    const reason = work.callOff()
    await assert.rejects(taking, reason)
    assert.deepEqual(await other.items("list"), ["first", "second"])
    await kv.delete("list")

    const last = new Work()
    const waiting = runIn(last, () => kv.pop("list", { wait: "1 minute" }))
    let isSettled = false
    const [popped] = await Promise.all([
      waiting.catch(() => undefined).finally(() => (isSettled = true)),
      until(async () => last.isListenedTo || isSettled, Boolean).then(() => last.callOff()),
      other.append("list", i),
    ])
    if (popped === undefined) assert.equal(await other.pop("list"), i)
    assert.equal(await other.length("list"), 0)
  }
})

both("closing ends all waits, and a closed store says so", async ({ kv, other }) => {
  const waiting = [
    kv.pop("a", { wait: "1 minute" }),
    kv.pop("a", { wait: "1 minute" }),
    kv.pop("b", { wait: "1 minute" }),
  ]
  await kv.set("key", 1)
  kv.stopWaiting()
  assert.deepEqual(await Promise.all(waiting), [undefined, undefined, undefined])
  assert.equal(await kv.get("key"), 1)
  assert.equal(await kv.pop("a", { wait: "1 minute" }), undefined)
  kv.close()
  await assert.rejects(kv.get("key"), { message: "The store is closed." })
  await assert.rejects(kv.pop("a", { wait: "1 minute" }), { message: "The store is closed." })
  assert.equal(await other.get("key"), 1)
})
