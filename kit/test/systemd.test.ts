// @together
/** What systemd is told, through a program that stands for `systemd-notify` and writes down what it is called with. */
import assert from "node:assert/strict"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { Log } from "../src/core/log.ts"
import { systemd } from "../src/supervisor/systemd.ts"
import { later, until } from "./embedded/scratch.ts"

const usual = `#!/bin/sh
printf '%s|' "$NOTIFY_SOCKET" "$@" >>"$CALLS"
echo >>"$CALLS"
`

/** An environment whose first `systemd-notify` is this script; without one there is none at all. */
async function makeService(t: TestContext, variables: Record<string, string>, script: string | undefined = usual) {
  const folder = await mkdtemp(join(tmpdir(), "trestle-test-"))
  later(t, () => rm(folder, { recursive: true }))
  const [file, calls] = [join(folder, "systemd-notify"), join(folder, "calls")]
  if (script) await writeFile(file, script, { mode: 0o755 })
  await writeFile(calls, "")
  const lines: string[] = []
  const log = new Log("debug", "test", (line) => void lines.push(line))
  const environment: NodeJS.ProcessEnv = {
    ...variables,
    PATH: script ? `${folder}:${process.env.PATH}` : folder,
    CALLS: calls,
  }
  const service = systemd(log, environment)
  later(t, () => service.close())
  const called = async () => (await readFile(calls, "utf8")).split("\n").slice(0, -1)
  return { service, environment, lines, called }
}

const NOTIFY_SOCKET = "/run/systemd/notify"

test("systemd is told in order what the server does, with what Type=notify-reload needs", async (t) => {
  const before = process.hrtime.bigint() / 1000n
  const { service, environment, lines, called } = await makeService(t, { NOTIFY_SOCKET, LANG: "C" })
  // What it is told is sent one after the other, whether the caller waits or not.
  void service.ready("4 processes at http://localhost:8000\nMAINPID=1")
  void service.reloading()
  void service.ready()
  void service.stopping()
  await service.close()

  const sent = (await called()).map((line) => line.split("|").slice(0, -1))
  const usec = sent[1]![2]!
  assert.deepEqual(sent, [
    [NOTIFY_SOCKET, "READY=1", `MAINPID=${process.pid}`, "STATUS=4 processes at http://localhost:8000\\nMAINPID=1"],
    [NOTIFY_SOCKET, "RELOADING=1", usec, "STATUS=Reloading."],
    [NOTIFY_SOCKET, "READY=1", `MAINPID=${process.pid}`, "STATUS=Running."],
    [NOTIFY_SOCKET, "STOPPING=1", "STATUS=Stopping."],
  ])
  assert.match(usec, /^MONOTONIC_USEC=\d+$/)
  const at = BigInt(usec.slice("MONOTONIC_USEC=".length))
  assert.ok(at >= before && at <= process.hrtime.bigint() / 1000n, usec)
  assert.deepEqual(Object.keys(environment), ["LANG", "PATH", "CALLS"])
  assert.deepEqual(lines, [])
})

test("without systemd nothing is run, and no process inherits its watchdog", async (t) => {
  const { service, environment, called } = await makeService(t, { WATCHDOG_USEC: "1000" })
  await service.ready()
  await service.reloading()
  await service.stopping()
  await service.close()
  assert.deepEqual(await called(), [])
  assert.deepEqual(Object.keys(environment), ["PATH", "CALLS"])
})

test("the watchdog is answered until the end", async (t) => {
  for (const WATCHDOG_PID of [undefined, String(process.pid), String(process.ppid)]) {
    const variables = { NOTIFY_SOCKET, WATCHDOG_USEC: "20000", ...(WATCHDOG_PID && { WATCHDOG_PID }) }
    const { service, called } = await makeService(t, variables)
    await until(async () => (await called()).length >= 3)
    await service.stopping()
    await service.close()
    const sent = await called()
    const pings = sent.filter((line) => line === `${NOTIFY_SOCKET}|WATCHDOG=1|`)
    assert.equal(sent.length - pings.length, 1)
    // Another one would come before this is said.
    await service.ready()
    await service.ready()
    assert.deepEqual(
      (await called()).slice(sent.length).map((line) => line.split("|")[1]),
      ["READY=1", "READY=1"],
    )
  }
})

test("a watchdog of another process, or without a time, is not answered", async (t) => {
  const watchdogs: Record<string, string>[] = [
    { WATCHDOG_USEC: "2000", WATCHDOG_PID: "1" },
    { WATCHDOG_USEC: "0" },
    { WATCHDOG_USEC: "soon" },
    { WATCHDOG_USEC: String(2 ** 62) },
  ]
  for (const watchdog of watchdogs) {
    const { service, called } = await makeService(t, { NOTIFY_SOCKET, ...watchdog })
    for (let time = 1; time <= 5; time++) await service.ready()
    assert.deepEqual(
      new Set((await called()).map((line) => line.split("|")[1])),
      new Set(["READY=1"]),
      watchdog.WATCHDOG_USEC,
    )
  }
})

test("a systemd-notify that is slow gets one call for the watchdog at a time", async (t) => {
  const slow = `#!/bin/sh
echo begin >>"$CALLS"
sleep 0.05
echo end >>"$CALLS"
`
  const { service, called } = await makeService(t, { NOTIFY_SOCKET, WATCHDOG_USEC: "2000" }, slow)
  await until(async () => (await called()).length >= 6)
  await service.close()
  const sent = await called()
  assert.deepEqual(
    sent,
    Array.from(sent, (_, index) => (index % 2 === 0 ? "begin" : "end")),
  )
})

test("trouble with systemd-notify is logged once, and stops nothing", async (t) => {
  const failing = "#!/bin/sh\necho Failed to notify: Connection refused >&2\nexit 1\n"
  for (const [script, says] of [
    [failing, "Failed to notify: Connection refused"],
    ["", "spawn systemd-notify ENOENT"],
  ] as const) {
    const { service, lines } = await makeService(t, { NOTIFY_SOCKET }, script)
    await service.ready()
    await service.reloading()
    await service.stopping()
    await service.close()
    assert.equal(lines.length, 1)
    assert.match(lines[0]!, /\(WARNING\) test: systemd does not learn how this server is: /)
    assert.ok(lines[0]!.includes(says), lines[0])
  }
})
