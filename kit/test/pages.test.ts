// @together
import assert from "node:assert/strict"
import { test } from "node:test"
import { pageLinks } from "trestle"

const page = { page: 1, limit: 2, total: 5 }

test("the links of a list keep the rest of the query, whatever is in it", () => {
  const { link } = pageLinks("/api/x?search=who?&creator=me", page)
  assert.equal(link!.split(", ")[0], '</api/x?search=who%3F&creator=me&page=1&limit=2>; rel="first"')
})

test("nothing of the client's ends the target of a link", () => {
  const { link } = pageLinks('/api/x#>;rel="evil"?a=1', page)
  assert.ok(!link!.includes("evil"))
  assert.ok(!pageLinks('/api/x>;rel="evil"', page).link!.includes('>;rel="evil"'))
})

test("the first, the last and an empty page link to what there is", () => {
  const rels = (of: typeof page) =>
    pageLinks("/x", of)
      .link!.match(/rel="\w+"/g)!
      .map((rel) => rel.slice(5, -1))
  assert.deepEqual(rels(page), ["first", "last", "next"])
  assert.deepEqual(rels({ ...page, page: 2 }), ["first", "last", "prev", "next"])
  assert.deepEqual(rels({ ...page, page: 3 }), ["first", "last", "prev"])
  assert.deepEqual(rels({ ...page, total: 0 }), ["first", "last"])
  assert.equal(pageLinks("/x", { ...page, page: 9 }).link!.includes('page=3&limit=2>; rel="prev"'), true)
})
