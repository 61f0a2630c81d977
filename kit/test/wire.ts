/** A way to a test's database that hands everything on until the test says otherwise, so that the database itself is not disturbed. */
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { TestContext } from "node:test"
import type { DatabaseAddress } from "../src/db/database.ts"

export interface Wire {
  /** The database, by this way. */
  address: DatabaseAddress
  /** Breaks all connections. */
  cut(): void
  /** Notifications are left out, and all else arrives: what a pooler does that shares connections between statements. */
  deafen(): void
  /** Nothing arrives any more, and nobody is told. */
  silence(silent: boolean): void
  /** Nothing arrives until {@link go}, and then all of it: a server whose processes are stopped, as SIGSTOP does it. */
  stop(): void
  go(): void
  /** How many connections there are, and how many were made. */
  connections(): { open: number; made: number }
}

/** Where the server of an address listens, and the same address with another place. */
function place(address: DatabaseAddress, folder: string) {
  if ("url" in address) {
    const { hostname, port } = new URL(address.url)
    const moved = (own: net.AddressInfo) => {
      const url = new URL(address.url)
      Object.assign(url, { hostname: "127.0.0.1", port: String(own.port) })
      return { url: url.href }
    }
    return { real: { host: hostname, port: Number(port || 5432) }, own: { host: "127.0.0.1", port: 0 }, moved }
  }
  const socket = `.s.PGSQL.${address.port}`
  const moved = () => ({ ...address, host: folder })
  return { real: { path: join(address.host, socket) }, own: { path: join(folder, socket) }, moved }
}

export async function openWire(t: TestContext, address: DatabaseAddress): Promise<Wire> {
  const folder = mkdtempSync(join(tmpdir(), "wire-"))
  const { real, own, moved } = place(address, folder)
  const pairs = new Set<[net.Socket, net.Socket]>()
  let isSilent = false
  let isDeaf = false
  let isStopped = false
  let made = 0
  const server = net.createServer((client) => {
    const upstream = net.connect(real)
    const pair: [net.Socket, net.Socket] = [client, upstream]
    pairs.add(pair)
    made++
    for (const [from, to] of [pair, [upstream, client]] as const) {
      from.on("data", (bytes) => void (isSilent || to.write(isDeaf && from === upstream ? withoutNews(bytes) : bytes)))
      from.on("error", () => {})
      from.on("close", () => {
        pairs.delete(pair)
        to.destroy()
      })
      if (isStopped) from.pause()
    }
  })
  server.listen(own)
  await once(server, "listening")
  const cut = () => {
    for (const pair of pairs) for (const socket of pair) socket.destroy()
  }
  t.after(() => {
    cut()
    server.close()
    rmSync(folder, { recursive: true, force: true })
  })
  return {
    address: moved(server.address() as net.AddressInfo),
    cut,
    deafen() {
      isDeaf = true
    },
    silence(silent) {
      isSilent = silent
    },
    stop() {
      isStopped = true
      for (const pair of pairs) for (const socket of pair) socket.pause()
    },
    go() {
      isStopped = false
      for (const pair of pairs) for (const socket of pair) socket.resume()
    },
    connections: () => ({ open: pairs.size, made }),
  }
}

/** What PostgreSQL sends, without its NotificationResponse messages: a letter, the length with itself, the rest. */
function withoutNews(bytes: Buffer): Buffer {
  const kept: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const end = at + 1 + bytes.readUInt32BE(at + 1)
    if (bytes[at] !== "A".charCodeAt(0)) kept.push(bytes.subarray(at, end))
    at = end
  }
  return Buffer.concat(kept)
}
