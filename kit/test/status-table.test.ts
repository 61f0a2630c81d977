// @together
/** How `trestle status` shows the processes to people. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { type ProcessStatus, type Status, statusTable } from "../src/supervisor/status.ts"

const now = Date.parse("2026-03-10T12:00:00.000Z")
const ago = (seconds: number) => new Date(now - seconds * 1000).toISOString()

const web1: ProcessStatus = {
  name: "web 1",
  state: "ready",
  pid: 4711,
  started: ago(3 * 3600 + 20 * 60 + 5),
  connections: 12,
  requests: 3,
  answered: 1234567,
  memory: 182_400_000,
  delay: 1.6,
  restarts: 2,
  lastEnd: "HARAKIRI: blocked for 5 s",
}
const nothing = { connections: 0, requests: 0, answered: 0, memory: 0, delay: 0 }
const web10: ProcessStatus = {
  ...web1,
  ...nothing,
  name: "web 10",
  state: "draining",
  pid: 9,
  restarts: 0,
  lastEnd: null,
}
const waiting: ProcessStatus = {
  ...{ ...web1, ...nothing, name: "web 2", state: "waiting", pid: null, started: null },
  ...{ restarts: 11, lastEnd: "exit code 1" },
}
const status: Status = {
  pid: 4000,
  app: "movies",
  version: "1.2.0",
  url: "https://localhost:8000",
  started: ago(2 * 86_400 + 5 * 3600 + 59),
  state: "running",
  generation: 3,
  processes: [web1, { ...web10, started: ago(45) }, waiting],
}

test("each process is a line, in columns, below what the server is", () => {
  assert.equal(
    statusTable(status, now),
    `movies 1.2.0 at https://localhost:8000: running, up for 2 d 5 h, generation 3, supervisor 4000

process  state      pid         age  connections  in flight  answered  memory  loop delay  restarts  why
web 1    ready     4711  3 h 20 min           12          3   1234567  182 MB        2 ms         2  HARAKIRI: blocked for 5 s
web 10   draining     9        45 s            0          0         0    0 MB        0 ms         0
web 2    waiting      -           -            -          -         -       -           -        11  exit code 1
`,
  )
})

test("a server without processes or version has its line, and the titles", () => {
  const { version: _, ...unnamed } = status
  const lines = statusTable({ ...unnamed, processes: [], state: "starting" }, now).split("\n")
  assert.equal(lines.length, 4)
  assert.match(lines[0]!, /^movies at https:\/\/localhost:8000: starting, /)
})

test("a time is said in its two largest units, and never below nothing", () => {
  const times: [seconds: number, text: string][] = [
    [-30, "0 s"],
    [0, "0 s"],
    [0.9, "0 s"],
    [59, "59 s"],
    [60, "1 min"],
    [61, "1 min 1 s"],
    [3600, "1 h"],
    [3659, "1 h"],
    [86_399, "23 h 59 min"],
    [86_400, "1 d"],
    [400 * 86_400 + 3600, "400 d 1 h"],
  ]
  for (const [seconds, text] of times) {
    assert.match(statusTable({ ...status, started: ago(seconds) }, now), new RegExp(`up for ${text}, generation`))
  }
})

test("what comes from outside drives no terminal and begins no line", () => {
  const lastEnd = "said:\n\x1b[2Jmovies at http://evil"
  const table = statusTable({ ...status, app: "mov\x1bies\n", processes: [{ ...web1, lastEnd }] }, now)
  assert.equal(table.split("\n").length, 5)
  assert.ok(table.includes("said:\\n\\x1b[2Jmovies"), table)
  assert.ok(table.startsWith("mov\\x1bies\\n 1.2.0 at "), table)
})
