/**
 * How commands talk to the server that runs: over a Unix socket that only its owner can use. Each connection carries one
 * request, a line of JSON, and one reply: `{"ask":"status"}`, then `{"ok":true,"status":{…}}` or `{"ok":false,"reason":"…"}`.
 */
import { once } from "node:events"
import { chmod } from "node:fs/promises"
import { createServer, type Server, type Socket } from "node:net"
import { BootError } from "../core/errors.ts"
import type { Log } from "../core/log.ts"
import { claim, makeSocketPlace, reach, readAddress, removeSocketPlace } from "./control-place.ts"
import type { Status } from "./status.ts"

/** What may be asked. */
export type Question = "status" | "reload"

type Reply = { ok: true; status: Status } | { ok: false; reason: string }

export interface ControlOptions {
  /** The data folder of the project; it is made if it is not there. */
  folder: string
  handlers: {
    status(): Status
    /** Resolves when the reload is done. Rejects with an Error whose message is the reason; may be called during another. */
    reload(): Promise<void>
  }
  log: Log
  /** Milliseconds that a peer may take to ask, and to hang up once it is answered. Default 5000: it is a program. */
  patienceMs?: number
}

export interface Control {
  /** Cuts whoever still waits for a reply, and removes the socket. Never rejects; may be called again. */
  close(): Promise<void>
}

const requestAtMost = 64 * 1024
/** A line per process, of some hundred bytes. */
const replyAtMost = 4 * 1024 * 1024

/**
 * Begins to answer commands. Where no socket or file can be made, it warns once and the server runs without.
 * @throws BootError when another server of this project is running
 */
export async function openControl({ folder, handlers, log, patienceMs = 5000 }: ControlOptions): Promise<Control> {
  const open = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    open.add(socket)
    socket.on("error", () => {}).once("close", () => open.delete(socket)) // whoever hangs up needs no reply
    void attend(socket, handlers, patienceMs)
  })
  let socket: string | undefined
  const closeServer = async () => {
    for (const peer of open) peer.destroySoon()
    if (server.listening) await new Promise((resolve) => server.close(resolve))
    if (socket) await removeSocketPlace(socket)
  }
  try {
    socket = await makeSocketPlace()
    await listen(server, socket)
    server.on("error", (error) => log.warn(`A command could not be answered: ${error.message}`))
    const release = await claim(folder, { pid: process.pid, socket }, log)
    return {
      async close() {
        // While it still answers, nobody takes the file for a dead server's. One that cannot be removed is a dead server's.
        await release().catch(() => {})
        await closeServer()
      },
    }
  } catch (error) {
    await closeServer()
    if (error instanceof BootError) throw error
    log.warn(`"trestle status" and "trestle reload" cannot reach this server: ${(error as Error).message}`)
    return { close: async () => {} }
  }
}

async function listen(server: Server, socket: string): Promise<void> {
  server.listen(socket)
  await once(server, "listening")
  // Its folder is closed to others already.
  await chmod(socket, 0o600)
}

async function attend(socket: Socket, handlers: ControlOptions["handlers"], patienceMs: number): Promise<void> {
  const heard = await readLine(socket, requestAtMost, patienceMs)
  const reply = "line" in heard ? await replyTo(heard.line, handlers) : { ok: false, reason: usage }
  socket.end(`${JSON.stringify(reply)}\n`)
  setTimeout(() => socket.destroy(), patienceMs).unref()
}

const usage = `Ask {"ask":"status"} or {"ask":"reload"}, in one line, within some seconds.`

async function replyTo(line: string, handlers: ControlOptions["handlers"]): Promise<Reply> {
  try {
    const asked = questionIn(line)
    if (!asked) return { ok: false, reason: usage }
    if (asked === "reload") await handlers.reload()
    return { ok: true, status: handlers.status() }
  } catch (error) {
    return { ok: false, reason: (error as Error).message }
  }
}

function questionIn(line: string): Question | undefined {
  try {
    const asked = JSON.parse(line)?.ask
    return asked === "status" || asked === "reload" ? asked : undefined
  } catch {
    return undefined
  }
}

/**
 * Asks the server of a data folder, and gives its status, after a reload the one that it has then.
 * @throws BootError when no server runs there, when it does not answer in time, or with the reason why it refused
 * @example const { generation } = await askControl("/srv/movies/data", "reload", 300_000)
 */
export async function askControl(folder: string, question: Question, timeoutMs: number): Promise<Status> {
  const { pid, connection } = await connectTo(folder)
  connection.write(`${JSON.stringify({ ask: question })}\n`)
  const heard = await readLine(connection, replyAtMost, timeoutMs)
  connection.destroy()
  if ("failed" in heard) {
    const trouble = {
      late: `did not answer within ${timeoutMs / 1000} s`,
      cut: "ended before it answered",
      long: "answered more than makes sense",
    }[heard.failed]
    throw new BootError(`The server (pid ${pid}) ${trouble}. Its log may say more.`)
  }
  const reply = JSON.parse(heard.line) as Reply
  if (!reply.ok) throw new BootError(reply.reason)
  return reply.status
}

async function connectTo(folder: string): Promise<{ pid: number; connection: Socket }> {
  try {
    const address = await readAddress(folder)
    const connection = address && (await reach(address))
    if (connection) return { pid: address.pid, connection }
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    const whose = code === "EACCES" || code === "EPERM" ? "Ask as the user that runs it, or as root." : "Ask again."
    throw new BootError(`The server cannot be reached: ${message}. ${whose}`, { cause })
  }
  throw new BootError("No server is running here. Start it: npx trestle start")
}

type Heard = { line: string } | { failed: "late" | "cut" | "long" }

/** The first line that comes; what follows it is read and forgotten, since a socket closed on it would cut the reply. */
function readLine(socket: Socket, atMost: number, timeoutMs: number): Promise<Heard> {
  const { promise, resolve } = Promise.withResolvers<Heard>()
  let text = ""
  const onData = (chunk: string) => {
    text += chunk
    const end = text.indexOf("\n")
    if ((end < 0 ? text.length : end) > atMost) resolve({ failed: "long" })
    else if (end >= 0) resolve({ line: text.slice(0, end) })
  }
  const onEnd = () => resolve({ failed: "cut" })
  const timer = setTimeout(() => resolve({ failed: "late" }), timeoutMs)
  socket.setEncoding("utf8").on("data", onData).once("end", onEnd).once("close", onEnd)
  return promise.finally(() => {
    clearTimeout(timer)
    socket.off("data", onData).resume()
  })
}
