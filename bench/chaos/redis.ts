/** A Redis of our own that forgets nothing: what it has acknowledged is on the disk. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { mkdir } from "node:fs/promises"
import net, { type AddressInfo } from "node:net"

const program = ["redis-server", "valkey-server"].find((name) => spawnSync(name, ["--version"]).status === 0)

export const hasRedis: boolean = program !== undefined

export interface Redis extends AsyncDisposable {
  url: string
  /** Sends a signal to it. */
  kill(signal: NodeJS.Signals): void
  /** Waits until it has ended. */
  ended(): Promise<void>
  /** Starts it at the same place, with what it had. */
  start(): Promise<void>
}

/** Starts one that keeps its data in this folder. */
export async function startRedis(folder: string): Promise<Redis> {
  await mkdir(folder, { recursive: true })
  const port = await freePort()
  let server: ChildProcess | undefined
  const isRunning = () => server?.exitCode === null && server.signalCode === null
  const kill = (signal: NodeJS.Signals) => void (isRunning() && server!.kill(signal))
  process.once("exit", () => kill("SIGKILL"))
  const redis: Redis = {
    url: `redis://127.0.0.1:${port}`,
    kill,
    async ended() {
      if (isRunning()) await once(server!, "exit")
    },
    async start() {
      const settings = ["--bind", "127.0.0.1", "--port", String(port), "--appendonly", "yes", "--appendfsync", "always"]
      // A group of its own: Ctrl-C is for us.
      server = spawn(program!, [...settings, "--save", "", "--dir", folder], { stdio: "ignore", detached: true })
      while (isRunning() && !(await isListening(port))) await new Promise((resolve) => setTimeout(resolve, 20))
    },
    async [Symbol.asyncDispose]() {
      kill("SIGKILL")
      await redis.ended()
    },
  }
  await redis.start()
  return redis
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, "close")
  return port
}

async function isListening(port: number): Promise<boolean> {
  const socket = net.connect(port, "127.0.0.1")
  try {
    await once(socket, "connect")
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
