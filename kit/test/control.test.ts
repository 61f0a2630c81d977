/** What commands and the server that runs say to each other, and what it says to whoever is no command. */
import assert from "node:assert/strict"
import { once } from "node:events"
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { connect, createServer, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { type TestContext, test } from "node:test"
import { askControl } from "../src/supervisor/control.ts"
import { addressIn, dataFolder, handlers, listenToLog, nobody, open, patienceMs, status } from "./control.ts"
import { later, until } from "./embedded/scratch.ts"
import { makeProject } from "./project.ts"

const refused = { ok: false, reason: 'Ask {"ask":"status"} or {"ask":"reload"}, in one line, within some seconds.' }

/** Speaks to the socket as no command would. */
async function dial(t: TestContext, folder: string): Promise<{ peer: Socket; reply: Promise<unknown> }> {
  const peer = connect({ path: (await addressIn(folder)).socket, allowHalfOpen: true })
  peer.on("error", () => {})
  later(t, () => peer.destroy())
  await once(peer, "connect")
  const reply = (async () => {
    let text = ""
    for await (const chunk of peer.setEncoding("utf8").iterator({ destroyOnReturn: false })) text += chunk
    return text === "" ? undefined : JSON.parse(text)
  })().catch((error) => error)
  return { peer, reply }
}

test("a reload is answered when it is done, and others are answered meanwhile", async (t) => {
  const folder = await dataFolder(t)
  const begun = Promise.withResolvers<void>()
  const done = Promise.withResolvers<void>()
  let generation = 1
  const reload = async () => {
    begun.resolve()
    await done.promise
    generation++
  }
  await open(t, folder, { handlers: { status: () => ({ ...status, generation }), reload } })
  const answered: string[] = []
  const ask = async (question: "status" | "reload") => {
    const reply = await askControl(folder, question, patienceMs)
    answered.push(`${question} ${reply.generation}`)
  }
  const reloading = ask("reload")
  await begun.promise
  await Promise.all(Array.from({ length: 20 }, () => ask("status")))
  assert.deepEqual(answered, Array(20).fill("status 1"))
  done.resolve()
  await reloading
  assert.equal(answered[20], "reload 2")
})

test("a refused reload says why, and so does a status that fails", async (t) => {
  const folder = await dataFolder(t)
  const fails = (reason: string) => () => {
    throw new Error(reason)
  }
  const reload = async () => fails("The new version ended:\nSyntaxError")()
  await open(t, folder, { handlers: { status: fails("too early"), reload } })
  const reasonOf = (question: "status" | "reload") =>
    assert.rejects.bind(null, askControl(folder, question, patienceMs))
  await reasonOf("reload")({ name: "BootError", message: "The new version ended:\nSyntaxError" })
  await reasonOf("status")({ name: "BootError", message: "too early" })
})

test("a server that ends before it has answered is not waited for", async (t) => {
  const folder = await dataFolder(t)
  const begun = Promise.withResolvers<void>()
  const never = () => {
    begun.resolve()
    return new Promise<void>(() => {})
  }
  const control = await open(t, folder, { handlers: { ...handlers, reload: never } })
  const asked = askControl(folder, "reload", patienceMs)
  const message = `The server (pid ${process.pid}) ended before it answered. Its log may say more.`
  const rejected = assert.rejects(asked, { name: "BootError", message })
  await begun.promise
  await control.close()
  await rejected
})

test("a server that answers without end is not listened to for ever", async (t) => {
  const folder = await dataFolder(t)
  const socket = join(await mkdtemp(join(tmpdir(), "trestle-test-")), "socket")
  later(t, () => rm(dirname(socket), { recursive: true }))
  const flood = createServer((peer) => {
    const write = () => {
      while (peer.write("x".repeat(65_536)));
    }
    peer.on("drain", write).on("error", () => {})
    write()
  }).listen(socket)
  later(t, () => flood.close())
  await once(flood, "listening")
  await mkdir(folder)
  await writeFile(join(folder, "supervisor.json"), JSON.stringify({ pid: 7, socket }))
  const message = "The server (pid 7) answered more than makes sense. Its log may say more."
  await assert.rejects(askControl(folder, "status", patienceMs), { name: "BootError", message })
})

test("peers that send garbage, too much or half a request are refused, and harm nobody", async (t) => {
  const folder = await dataFolder(t)
  let reloads = 0
  const reload = async () => void reloads++
  const { lines, log } = listenToLog()
  await open(t, folder, { handlers: { ...handlers, reload }, log })
  const request = '{"ask":"reload"}\n'

  for (const garbage of [
    "\n",
    "reload\n",
    "null\n",
    "[]\n",
    '{"ask":"stop"}\n',
    "\xff\0\x1b[2J\n",
    "GET / HTTP/1.1\r\n\r\n",
  ]) {
    const { peer, reply } = await dial(t, folder)
    peer.end(garbage, "latin1")
    assert.deepEqual(await reply, refused, garbage)
  }
  const long = await dial(t, folder)
  long.peer.write("x".repeat(70_000))
  assert.deepEqual(await long.reply, refused)
  const longLine = await dial(t, folder)
  longLine.peer.write(`${" ".repeat(65_537)}${request}`)
  assert.deepEqual(await longLine.reply, refused)
  const half = await dial(t, folder)
  half.peer.end(request.slice(0, 8))
  assert.deepEqual(await half.reply, refused)
  assert.equal(reloads, 0)

  // One byte after another, and more than one request: the first counts.
  const slow = await dial(t, folder)
  for (const byte of `${request}${request}x`) slow.peer.write(byte)
  assert.deepEqual(await slow.reply, { ok: true, status })
  assert.equal(reloads, 1)
  // As `echo '{"ask":"status"}' | socat - UNIX-CONNECT:…` does.
  const piped = await dial(t, folder)
  piped.peer.end('{"ask":"status"}\n')
  assert.deepEqual(await piped.reply, { ok: true, status })
  assert.deepEqual(lines, [])
})

test("a peer that sends nothing is refused after a time, and one that does not hang up is cut", async (t) => {
  const folder = await dataFolder(t)
  await open(t, folder, { patienceMs: 50 })
  const { peer, reply } = await dial(t, folder)
  assert.deepEqual(await reply, refused)
  await until(() => {
    peer.write("x")
    return peer.destroyed
  })
})

test("a peer that hangs up, or never does, keeps nobody from being answered nor the server from closing", async (t) => {
  const folder = await dataFolder(t)
  const begun = Promise.withResolvers<void>()
  const done = Promise.withResolvers<void>()
  const reload = () => {
    begun.resolve()
    return done.promise
  }
  const { lines, log } = listenToLog()
  const control = await open(t, folder, { handlers: { ...handlers, reload }, log })
  const asking = await dial(t, folder)
  asking.peer.write('{"ask":"reload"}\n')
  await begun.promise
  asking.peer.destroy()
  const { peer: answered, reply } = await dial(t, folder)
  answered.write('{"ask":"status"}\n')
  assert.deepEqual(await reply, { ok: true, status })
  const { peer: silent } = await dial(t, folder)
  const { peer: sending } = await dial(t, folder)
  sending.write('{"ask":')
  done.resolve()
  assert.deepEqual(await askControl(folder, "status", patienceMs), status)
  await control.close()
  assert.deepEqual(lines, [])
  for (const peer of [silent, sending]) peer.end()
})

test("trestle status and trestle reload talk to the server of the project, in any of its folders", async (t) => {
  const { folder, run, start } = await makeProject(t, { "app/app.ts": "this is no program" })
  for (const command of ["status", "reload"]) {
    assert.deepEqual(await run([command]), { code: 1, stdout: "", stderr: `${nobody.message}\n` })
  }
  let generation = 1
  let refusal: string | undefined
  const reload = async () => {
    if (refusal) throw new Error(refusal)
    generation++
  }
  await open(t, join(folder, "data"), { handlers: { status: () => ({ ...status, generation }), reload } })
  const shown = await run(["status"])
  assert.deepEqual([shown.code, shown.stderr], [0, ""])
  assert.match(
    shown.stdout,
    /^movies at http:\/\/localhost:8000: running, up for \d+ d.*, generation 1, supervisor \d+\n\nprocess /,
  )
  assert.deepEqual(JSON.parse((await run(["status", "--json"])).stdout), status)
  const below = [
    "sh",
    "-c",
    'cd app && exec "$@"',
    "sh",
    process.execPath,
    join(import.meta.dirname, "../src/cli/main.ts"),
  ]
  assert.deepEqual(await start(["reload"], {}, below).ended, {
    code: 0,
    stdout: "Reloaded: movies at http://localhost:8000, generation 2.\n",
    stderr: "",
  })
  refusal = "Not reloaded, and nothing has changed: no."
  assert.deepEqual(await run(["reload"]), { code: 1, stdout: "", stderr: `${refusal}\n` })
})
