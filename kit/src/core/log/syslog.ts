/**
 * Lines for a syslog server: RFC 5424 over UDP (RFC 5426), facility local0. Datagrams may be lost; whatever goes wrong
 * here is nobody else's trouble.
 */
import { createSocket, type Socket } from "node:dgram"
import { lookup } from "node:dns"
import { hostname } from "node:os"
import { escapeControls } from "./escape.ts"
import type { LogLevel } from "./levels.ts"

/** RFC 5424, 6.2.1. */
const local0 = 16
const severities: Record<LogLevel, number> = { error: 3, warn: 4, info: 6, debug: 7 }

/** What every server must take is 480 bytes, and should be 2,048 (RFC 5424, 6.1). */
const bytesAtMost = 2048
const waitingAtMost = 200
/** An address may change, and a name may not be known yet when the server starts. */
const lookAgainMs = 30_000
const closeWithinMs = 1000

export class Syslog {
  private readonly host: string
  private readonly port: number
  private readonly origin: string
  private socket: Socket | undefined
  private isConnected = false
  private connectNotBefore = 0
  private waiting: Buffer[] = []
  private sending = 0
  private isClosing = false
  private whenIdle: (() => void) | undefined

  /** `address` is a host, `host:port` or `[address]:port`; the port of syslog is 514. */
  constructor(address: string, name: string) {
    const [, host = address, port = "514"] = /^\[?(.+?)\]?(?::(\d+))?$/.exec(address) ?? []
    this.host = host
    this.port = Number(port)
    this.origin = `${printable(hostname(), 255)} ${printable(name, 48)} ${process.pid} - -`
    this.connect()
  }

  write(message: string, level: LogLevel): void {
    const head = `<${local0 * 8 + severities[level]}>1 ${new Date().toISOString()} ${this.origin} `
    const packet = cutBytes(head + escapeControls(message.trimEnd()))
    if (this.isConnected) this.send(packet)
    else {
      if (this.waiting.length < waitingAtMost) this.waiting.push(packet)
      if (Date.now() >= this.connectNotBefore && !this.isClosing) this.connect()
    }
  }

  /** Sends what waits for the connection, if that comes soon. */
  async close(): Promise<void> {
    if (this.sending > 0 || (this.waiting.length > 0 && !this.isConnected)) {
      await new Promise<void>((resolve) => {
        const giveUp = setTimeout(resolve, closeWithinMs)
        this.whenIdle = () => {
          clearTimeout(giveUp)
          resolve()
        }
      })
    }
    this.isClosing = true
    this.disconnect()
  }

  private connect(): void {
    this.connectNotBefore = Date.now() + lookAgainMs
    this.disconnect()
    lookup(this.host, (error, address, family) => {
      if (error) this.whenIdle?.()
      if (error || this.isClosing) return
      const socket = createSocket(family === 6 ? "udp6" : "udp4")
      this.socket = socket
      socket.unref()
      // A server that does not listen answers so; the next datagram is sent all the same.
      socket.on("error", () => {})
      socket.connect(this.port, address, () => {
        this.isConnected = true
        for (const packet of this.waiting.splice(0)) this.send(packet)
      })
    })
  }

  private send(packet: Buffer): void {
    this.sending++
    this.socket!.send(packet, () => {
      if (--this.sending === 0) this.whenIdle?.()
    })
  }

  private disconnect(): void {
    this.isConnected = false
    try {
      this.socket?.close()
    } catch {
      // Closed already.
    }
    this.socket = undefined
  }
}

/** Names in the head of a message are printable ASCII without spaces; "-" is none. */
const printable = (name: string, atMost: number) => name.replace(/[^!-~]/g, "").slice(0, atMost) || "-"

/** Cuts at a whole character. */
function cutBytes(text: string): Buffer {
  const bytes = Buffer.alloc(bytesAtMost)
  const { written } = new TextEncoder().encodeInto(text, bytes)
  return bytes.subarray(0, written)
}
