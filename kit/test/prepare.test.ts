// @together
/** Queries that are compiled once. */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { Kysely } from "kysely"
import { type Db, prepare, sql } from "trestle"
import { testApp } from "trestle/testing"
import { sampleApp } from "./sample/app.ts"

const owner = "00000000-0000-8000-8000-000000000001"

test("a prepared query is compiled once, and takes other values each time", async (t) => {
  const { db } = await testApp(
    t,
    sampleApp(() => {}),
  )
  let built = 0
  const add = prepare((db: Db, { name, note }: { name: string; note: string }) => {
    built++
    return db.insertInto("sample_items").values({ note, owner, name }).returning(["name", "note", "owner"])
  })
  assert.deepEqual(await add(db, { name: "a", note: "x" }), [{ name: "a", note: "x", owner }])
  assert.deepEqual(await add(db, { note: "y", name: "b" }), [{ name: "b", note: "y", owner }])
  assert.equal(built, 1)
})

test("a value may stand in several places, beside values that never change", async (t) => {
  const { db } = await testApp(
    t,
    sampleApp(() => {}),
  )
  const find = prepare((db: Db, { text, limit }: { text: string; limit: number }) =>
    db
      .selectFrom("sample_items")
      .select("name")
      .where("owner", "=", owner)
      .where((is) => is.or([is("name", "=", text), is("note", "=", text)]))
      .orderBy("name")
      .limit(limit),
  )
  const rows = ["a", "b", "c"].map((name) => ({ name, note: name === "c" ? "a" : null, owner }))
  await db.insertInto("sample_items").values(rows).execute()
  assert.deepEqual(await find(db, { text: "a", limit: 9 }), [{ name: "a" }, { name: "c" }])
  assert.deepEqual(await find(db, { text: "a", limit: 1 }), [{ name: "a" }])
  assert.deepEqual(await find(db, { text: "b", limit: 9 }), [{ name: "b" }])
})

test("a prepared query runs in a transaction that it is given", async (t) => {
  const { db } = await testApp(
    t,
    sampleApp(() => {}),
  )
  const add = prepare((db: Db, { name }: { name: string }) =>
    db.insertInto("sample_items").values({ name, owner }).returning("name"),
  )
  const work = db.transaction().execute(async (tx) => {
    await add(tx, { name: "gone" })
    throw new Error("no")
  })
  await assert.rejects(work, /no/)
  assert.deepEqual(await db.selectFrom("sample_items").selectAll().execute(), [])
})

test("an error of a prepared query leads to who asked", async (t) => {
  const { db } = await testApp(
    t,
    sampleApp(() => {}),
  )
  const byOwner = prepare((db: Db, { owner }: { owner: string }) =>
    db.selectFrom("sample_items").selectAll().where("owner", "=", owner),
  )
  async function whoAsks() {
    return await byOwner(db, { owner: "not a uuid" })
  }
  await assert.rejects(whoAsks, (error: Error) => {
    assert.match(error.message, /uuid/)
    assert.match(error.stack ?? "", /at async whoAsks/)
    return true
  })
})

test("looking at a value while the query is built says what to do", async (t) => {
  const { db } = await testApp(
    t,
    sampleApp(() => {}),
  )
  type Values = { name: string }
  const query = (db: Db, name: string) => db.selectFrom("sample_items").selectAll().where("name", "=", name)
  const mistakes = [
    prepare((db: Db, { name }: Values) => query(db, `%${name}%`)),
    prepare((db: Db, { name }: Values) => query(db, name + name)),
    prepare((db: Db, { name }: Values) => query(db, JSON.stringify(name))),
  ]
  for (const mistake of mistakes) {
    await assert.rejects(
      mistake(db, { name: "a" }),
      /prepare: the value "name" may only be handed to Kysely\. Compute it before the call\./,
    )
  }
  const spread = prepare((db: Db, values: Values) =>
    db
      .insertInto("sample_items")
      .values({ owner, ...values })
      .returningAll(),
  )
  await assert.rejects(spread(db, { name: "a" }), /prepare: name each value, as in \{ title: values\.title \}/)
})

const byName = prepare((db: Db, { name }: { name: string }) =>
  db.selectFrom("sample_items").select(["name", "note"]).where("name", "=", name),
)

/** Never called: what must compile, and what must not. */
export async function types(db: Db, other: Kysely<{ a: { b: number } }>) {
  const [row] = await byName(db, { name: "a" })
  row?.name satisfies string | undefined
  row?.note satisfies string | null | undefined
  // @ts-expect-error a column that was not selected
  row?.owner
  // @ts-expect-error a value of another type
  await byName(db, { name: 1 })
  // @ts-expect-error a value that is missing
  await byName(db, {})
  // @ts-expect-error another database
  await byName(other, { name: "a" })
  await prepare((db: Db, { id }: { id: number }) =>
    db
      .selectFrom("sample_items")
      .selectAll()
      // @ts-expect-error a column of another type
      .where("name", "=", id),
  )(db, { id: 1 })
  const raw = prepare((db: Kysely<{ a: { b: number } }>, { b }: { b: number }) =>
    db.selectFrom("a").select(sql<string>`b::text`.as("text")).where("b", "=", b),
  )
  const [text] = await raw(other, { b: 1 })
  text?.text satisfies string | undefined
}
