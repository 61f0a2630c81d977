/** A Redis of a test's own: on a free port of this machine, with a password, keeping nothing on the disk. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import net, { type AddressInfo } from "node:net"
import { createInterface } from "node:readline"

const program = ["redis-server", "valkey-server"].find((name) => spawnSync(name, ["--version"]).status === 0)

/** For `test(name, { skip: noRedis }, …)`. */
export const noRedis: false | string = program ? false : "there is no redis-server or valkey-server in the PATH"

export interface TestRedis {
  url: string
  port: number
  password: string
  /** Stops it in the middle of whatever it does, as a machine that hangs. */
  freeze(): void
  thaw(): void
  /** Ends it, and all that it holds. */
  kill(): Promise<void>
  /** Starts it again, empty, at the same place. */
  start(): Promise<void>
}

/** Starts a Redis that ends with the test, or with the process. */
export async function startRedis(
  t: { after(end: () => Promise<void>): void },
  { tls }: { tls?: { certificate: string; key: string } } = {},
): Promise<TestRedis> {
  const password = randomBytes(9).toString("hex")
  let port = await freePort()
  let server: ChildProcess | undefined
  const kill = async () => {
    if (server?.exitCode !== null || server.signalCode !== null) return
    server.kill("SIGKILL")
    await once(server, "exit")
  }
  process.once("exit", () => server?.kill("SIGKILL"))
  t.after(kill)

  const start = async () => {
    server = spawn(program!, ["-"], { cwd: "/", stdio: ["pipe", "pipe", "inherit"] })
    const place = tls
      ? [
          `port 0`,
          `tls-port ${port}`,
          `tls-cert-file ${tls.certificate}`,
          `tls-key-file ${tls.key}`,
          "tls-auth-clients no",
        ]
      : [`port ${port}`]
    const settings = [...place, "bind 127.0.0.1", `requirepass ${password}`, 'save ""', "appendonly no"]
    server.stdin!.end(settings.join("\n"))
    for await (const line of createInterface(server.stdout!)) {
      if (!line.includes("Ready to accept connections")) continue
      server.stdout!.resume()
      return
    }
    throw new Error(`Redis did not start on port ${port}`)
  }
  // Another process may have taken the port meanwhile.
  for (let attempt = 1; ; attempt++) {
    try {
      await start()
      break
    } catch (error) {
      if (attempt === 5) throw error
      port = await freePort()
    }
  }
  return {
    url: `${tls ? "rediss" : "redis"}://:${password}@127.0.0.1:${port}`,
    port,
    password,
    freeze: () => void server!.kill("SIGSTOP"),
    thaw: () => void server!.kill("SIGCONT"),
    kill,
    start,
  }
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, "close")
  return port
}
