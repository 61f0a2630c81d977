// @together
/** Values under keys. */
import assert from "node:assert/strict"
import type { Kv } from "trestle"
import { both, isGone, until } from "./kv-stores.ts"

both("a value comes back as it was, for every process", async ({ kv, other }) => {
  const values = [
    null,
    true,
    0,
    -1.5,
    "",
    "text",
    [],
    {},
    { z: 1, a: [null, { "ü \0 \ud800": "\0" }] },
    "🚀".repeat(1000),
  ]
  for (const value of values) {
    await kv.set("key", value)
    const found = await other.get("key")
    assert.deepEqual(found, value)
    // The order of properties too.
    assert.equal(JSON.stringify(found), JSON.stringify(value))
  }
  await kv.set("key", { at: new Date(0), gone: undefined })
  assert.deepEqual(await kv.get("key"), { at: "1970-01-01T00:00:00.000Z" })
  assert.equal(await kv.get("nothing"), undefined)
})

both("delete says whether there was something", async ({ kv }) => {
  await kv.set("key", null)
  assert.equal(await kv.delete("key"), true)
  assert.equal(await kv.delete("key"), false)
  assert.equal(await kv.get("key"), undefined)
  await kv.append("list", 1)
  assert.equal(await kv.delete("list"), true)
  assert.deepEqual(await kv.items("list"), [])
})

both("what JSON would lose is refused, and the value stays", async ({ kv }) => {
  const cycle: Record<string, unknown> = {}
  cycle.self = cycle
  await kv.set("key", "kept")
  await kv.append("list", "kept")
  const lost: [unknown, RegExp][] = [
    [undefined, /^The value for "key" is undefined\. Use delete, or null\.$/],
    [() => {}, /cannot be kept as JSON: it is a function\.$/],
    [{ deep: [{ f() {} }] }, /"f" is a function\.$/],
    [Symbol("s"), /it is a symbol/],
    [10n, /BigInt/],
    [cycle, /circular/],
    [Number.NaN, /it is NaN/],
    [{ n: Number.POSITIVE_INFINITY }, /"n" is Infinity/],
    [[1, undefined], /"1" is undefined/],
    [new Map([[1, 2]]), /it is a Map/],
    [{ tags: new Set() }, /"tags" is a Set/],
  ]
  for (const [value, message] of lost) {
    const refused = { name: "TypeError", message }
    await assert.rejects(kv.set("key", value), refused)
    await assert.rejects(kv.swap("key", value), refused)
    await assert.rejects(kv.append("list", value), { name: "TypeError" })
  }
  assert.equal(await kv.get("key"), "kept")
  assert.deepEqual(await kv.items("list"), ["kept"])
})

both("1 MB is the most that a value may have", async ({ kv }) => {
  const largest = "ü".repeat(499_999)
  await kv.set("key", largest)
  assert.equal(await kv.get("key"), largest)
  assert.equal(await kv.append("list", largest), 1)
  const refused = {
    name: "RangeError",
    message: /^The value for "key" has 1000001 bytes as JSON, and 1000000 is the most/,
  }
  await assert.rejects(kv.set("key", `${largest}x`), refused)
})

both("any text of 1 to 500 characters is a key", async ({ kv }) => {
  const keys = ["a", "A", "a ", " a", "ä", "a\u0308", "*", "{a}", "%", "a:b", "a\nb", "🚀".repeat(250), "ü".repeat(500)]
  for (const [i, key] of keys.entries()) {
    await kv.set(key, i)
    if (key.length < 400) assert.equal(await kv.append(`list ${key}`, i), 1)
  }
  for (const [i, key] of keys.entries()) assert.equal(await kv.get(key), i, key)
  const bad: [unknown, RegExp][] = [
    ["", /^A key is not empty\.$/],
    ["a\0b", /no NUL/],
    ["\ud800", /no half characters/],
    ["k".repeat(501), /^A key has 500 characters at most, not 501/],
    [7, /^A key is a string, not number\.$/],
    [null, /^A key is a string, not null\.$/],
  ]
  for (const [key, message] of bad) {
    for (const call of [
      kv.get(key as string),
      kv.set(key as string, 1),
      kv.pop(key as string),
      kv.length(key as string),
    ]) {
      await assert.rejects(call, { message })
    }
  }
})

both("what has expired is gone for every process, and its key is free", async ({ kv, other }) => {
  for (const call of [
    (expires: string) => kv.set("key", 1, { expires }),
    (expires: string) => kv.swap("key", 1, { expires }),
    (expires: string) => kv.increment("key", 1, { expires }),
  ]) {
    await call("1 hour")
    assert.equal(await other.get("key"), 1)
    await kv.delete("key")
    await call("20 ms")
    await until(() => other.get("key"), isGone)
    assert.equal(await kv.delete("key"), false)
  }
  await kv.append("list", "old", { expires: "1 hour" })
  assert.equal(await other.peek("list"), "old")
  await kv.append("list", "older", { expires: 20 })
  await until(() => other.peek("list"), isGone)
  assert.equal(await kv.length("list"), 0)
  assert.equal(await kv.pop("list"), undefined)
  assert.equal(await kv.append("list", "new"), 1)
  assert.deepEqual(await kv.items("list"), ["new"])

  // A list in the place of a value, and back.
  await kv.set("key", 1, { expires: "20 ms" })
  await until(() => kv.get("key"), isGone)
  assert.equal(await kv.append("key", 1, { expires: "20 ms" }), 1)
  await until(() => kv.peek("key"), isGone)
  await kv.set("key", 2)
  assert.equal(await kv.get("key"), 2)
  await kv.delete("key")
  assert.deepEqual(await kv.items("key"), [])
})

both("setting again takes an expiry away; the expiry of a counter and of a list lasts", async ({ kv }) => {
  const short = { expires: "100 ms" }
  const long = { expires: "1 hour" }
  const began = await until(
    async () => {
      for (const key of ["set", "swapped", "list", "longer", "counter"]) await kv.delete(key)
      const began = performance.now()
      await kv.set("set", 1, short)
      await kv.swap("swapped", 1, short)
      await kv.append("list", 1, short)
      await kv.append("longer", 1, short)
      await kv.increment("counter", 1, short)

      await kv.set("set", 2)
      await kv.swap("swapped", 2)
      await kv.append("list", 2)
      await kv.append("longer", 2, long)
      await kv.increment("counter", 1, long)
      return began
    },
    // Otherwise the machine was busy, and something may have expired between the two.
    (began) => performance.now() - began < 100,
  )
  await until(
    async () => performance.now() - began,
    (elapsed) => elapsed > 200,
  )
  assert.deepEqual([await kv.get("set"), await kv.get("swapped")], [2, 2])
  assert.deepEqual(await kv.items("longer"), [1, 2])
  assert.deepEqual(await kv.items("list"), [])
  assert.equal(await kv.increment("counter"), 1)
})

both("durations that cannot be are refused", async ({ kv }) => {
  const bad: [string | number, RegExp][] = [
    ["10", /^expires is a duration with its unit.* not "10"\.$/],
    ["soon", /^expires is a duration/],
    ["0 s", /^expires is from 1 ms to 100 years, not "0 s"\.$/],
    [-5, /not -5\.$/],
    [Number.NaN, /^expires is from 1 ms/],
    ["6000 weeks", /^expires is from 1 ms to 100 years/],
  ]
  for (const [expires, message] of bad) await assert.rejects(kv.set("key", 1, { expires }), { message })
  await assert.rejects(kv.pop("list", { wait: "25 days" }), { message: /^wait is from 1 ms to 24 days/ })
  for (const max of [0, -1, 1.5, Number.NaN]) {
    await assert.rejects(kv.append("list", 1, { max }), { message: `max is a whole number from 1, not ${max}.` })
  }
  await assert.rejects(kv.items("list", { limit: 0 }), { message: /^limit is a whole number from 1/ })
  assert.equal(await kv.length("list"), 0)
})

both("of 1,000 increments at once none is lost, and each gets a number of its own", async ({ kv, other }) => {
  const numbers = await Promise.all(Array.from({ length: 1000 }, (_, i) => (i % 2 ? kv : other).increment("counter")))
  assert.deepEqual(
    numbers.toSorted((a, b) => a - b),
    Array.from({ length: 1000 }, (_, i) => i + 1),
  )
  assert.equal(await kv.get("counter"), 1000)
  assert.equal(await kv.increment("counter", -1001), -1)
  assert.equal(await kv.increment("counter", 0), -1)
})

both("a value that is no whole number cannot be incremented, and stays", async ({ kv }) => {
  for (const value of ["5", 1.5, null, true, [1], "", 1e21, "-"]) {
    await kv.set("key", value)
    await assert.rejects(kv.increment("key"), { name: "TypeError", message: /^The value of "key" is no whole number/ })
    assert.deepEqual(await kv.get("key"), value)
  }
  for (const by of [0.5, Number.NaN, 2 ** 53, "1"]) {
    await assert.rejects(kv.increment("key", by as number), { message: /^A counter is incremented by a whole number/ })
  }
})

both("a counter counts to 2^53 - 1 and no further", async ({ kv }) => {
  const largest = Number.MAX_SAFE_INTEGER
  await kv.set("key", largest - 1)
  assert.equal(await kv.increment("key"), largest)
  const refused = { name: "RangeError", message: /^The value of "key" would pass ±9007199254740991/ }
  await assert.rejects(kv.increment("key"), refused)
  await assert.rejects(kv.increment("key", largest), refused)
  assert.equal(await kv.get("key"), largest)
  assert.equal(await kv.increment("key", -largest), 0)
  assert.equal(await kv.increment("key", -largest), -largest)
  await assert.rejects(kv.increment("key", -1), refused)
  await kv.set("key", 2 ** 60)
  await assert.rejects(kv.increment("key"), refused)
})

both("of all who swap at once each gets another's value", async ({ kv, other }) => {
  const numbers = Array.from({ length: 200 }, (_, i) => i)
  const got = await Promise.all(numbers.map((i) => (i % 2 ? kv : other).swap<number>("key", i)))
  const last = await kv.get<number>("key")
  assert.equal(got.filter(isGone).length, 1)
  assert.deepEqual(
    [...got.filter((i) => i !== undefined), last!].toSorted((a, b) => a - b),
    numbers,
  )
})

both("a key is a value or a list, never both", async ({ kv }) => {
  await kv.set("value", 1)
  await kv.append("list", 1)
  const asList = [
    () => kv.append("value", 2),
    () => kv.pop("value"),
    () => kv.pop("value", { wait: "1 minute" }),
    () => kv.peek("value"),
    () => kv.items("value"),
    () => kv.length("value"),
  ]
  for (const call of asList) {
    await assert.rejects(call(), { name: "TypeError", message: /^The key "value" holds a value, not a list\./ })
  }
  const asValue = [
    () => kv.get("list"),
    () => kv.set("list", 2),
    () => kv.swap("list", 2),
    () => kv.increment("list"),
    () => kv.increment("list", 2, { expires: "1 ms" }),
  ]
  for (const call of asValue) {
    await assert.rejects(call(), { name: "TypeError", message: /^The key "list" holds a list, not a value\./ })
  }
  assert.equal(await kv.get("value"), 1)
  assert.deepEqual(await kv.items("list"), [1])
  // A list without items is none.
  await kv.pop("list")
  await kv.set("list", "value now")
  assert.equal(await kv.get("list"), "value now")
})

/** Never called: what must compile, and what must not. */
export async function types(kv: Kv) {
  const value = await kv.get<{ text: string }>("key")
  value satisfies { text: string } | undefined
  // @ts-expect-error it may not be there
  value.text
  ;(await kv.get("key")) satisfies unknown
  ;(await kv.items<number>("list")) satisfies number[]
  ;(await kv.swap("key", 1)) satisfies number | undefined
  // @ts-expect-error a value of another type
  await kv.swap<string>("key", 1)
  // @ts-expect-error an option that there is not
  await kv.set("key", 1, { expire: "1 minute" })
}
