/**
 * A process that owns an embedded database, to be killed by the tests. Its argument is JSON: the options, `join` for
 * `joinEmbedded`, `inserters` for so many connections that insert rows. It prints `ready {…}` or `failed …`, then the number of
 * each row that PostgreSQL acknowledged. A line on its standard input makes it stop; then it must end by itself.
 */
import { once } from "node:events"
import pg from "pg"
import { joinEmbedded, openEmbedded } from "../../src/db/embedded/embedded.ts"

const { inserters = 0, join = false, ...options } = JSON.parse(process.argv[2] ?? "{}")
const print = (line: string) => process.stdout.write(`${line}\n`)

try {
  const database = await (join ? joinEmbedded : openEmbedded)(options)
  const pool = new pg.Pool({ ...database.connection, max: inserters + 1 })
  pool.on("error", () => {})
  await pool.query("create table if not exists acknowledged (number integer primary key)")
  print(`ready ${JSON.stringify(database)}`)
  let number = process.pid * 1000
  const insert = async () => {
    for (;;) {
      const mine = number++
      await pool.query("insert into acknowledged values ($1)", [mine])
      print(String(mine))
    }
  }
  for (let index = 0; index < inserters; index++) insert().catch(() => {})
  await once(process.stdin, "data")
  process.stdin.destroy()
  await pool.end()
  await database.stop()
  print("stopped")
} catch (error) {
  print(`failed ${(error as Error).message}`)
}
