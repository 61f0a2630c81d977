// @together
import assert from "node:assert/strict"
import { test } from "node:test"
import { findJsonBreak } from "../src/core/config/json-position.ts"
import { parseSize } from "../src/core/config/size.ts"
import { parseDuration } from "../src/core/duration.ts"
import { closest, didYouMean, editDistance } from "../src/core/suggest.ts"

test("durations are read with their unit", () => {
  const texts = ["30 minutes", "5 s", "250 ms", "1.5 hours", "2 days", "5s", "1 min", "0 seconds", "1 week", "0.0004 s"]
  const ms = [1_800_000, 5000, 250, 5_400_000, 172_800_000, 5000, 60_000, 0, 604_800_000, 0]
  assert.deepEqual(texts.map(parseDuration), ms)
})

test("what is no duration is refused without being quoted", () => {
  for (const text of [
    "",
    "5",
    "s",
    "-5 s",
    "5 m",
    "5 parsecs",
    "5  s",
    " 5 s",
    "5 s ",
    "1,5 h",
    ".5 s",
    "5 S",
    "5 constructor",
  ]) {
    assert.throws(() => parseDuration(text), { name: "TypeError", message: /^a duration with its unit/ }, text)
  }
})

test("sizes are read with their unit, powers of 1000 and of 1024 apart", () => {
  assert.deepEqual(
    ["1 MB", "1 MiB", "500 kB", "64KiB", "10 B", "1.5 GB"].map(parseSize),
    [1_000_000, 1_048_576, 500_000, 65_536, 10, 1_500_000_000],
  )
  for (const text of ["1", "MB", "1 mb", "1 Mb", "-1 MB", "1 toString", ""])
    assert.throws(() => parseSize(text), TypeError, text)
})

test("the distance of two names counts inserted, deleted, replaced and swapped letters", () => {
  const pairs: [string, string, number][] = [
    ["", "abc", 3],
    ["abc", "abc", 0],
    ["port", "prot", 1],
    ["port", "ports", 1],
    ["host", "home", 2],
    ["kitten", "sitting", 3],
    ["url", "ulr", 1],
  ]
  for (const [a, b, distance] of pairs) assert.deepEqual([editDistance(a, b), editDistance(b, a)], [distance, distance])
})

test("the closest name is suggested, and none where all are far", () => {
  const roles = ["readonly", "editor", "admin", "superuser"]
  assert.equal(closest("editr", roles), "editor")
  assert.equal(closest("Admin", roles), "admin")
  assert.equal(closest("read_only", roles), "readonly")
  assert.equal(closest("owner", roles), undefined)
  assert.equal(didYouMean("admn", roles), ` Did you mean "admin"?`)
  assert.equal(didYouMean("owner", roles), "")
})

test("the place where JSON breaks is found exactly where JSON.parse fails", () => {
  const sample = `{"a": [1, -2.5e+3, "x\\u00e9\\n\u007f😀", true, null, {}], "b": {"c": []}, "d": 0}`
  assert.equal(findJsonBreak(sample), undefined)
  const mutations = [...`{}[]",:\\0x- \n`].flatMap((character) =>
    Array.from(sample, (_, index) => sample.slice(0, index) + character + sample.slice(index + 1)),
  )
  const truncations = Array.from(sample, (_, index) => sample.slice(0, index))
  for (const text of [...mutations, ...truncations]) {
    assert.equal(findJsonBreak(text) === undefined, isJson(text), text)
  }
})

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
