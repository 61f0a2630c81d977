/** A small SMTP server on this machine (RFC 5321): it takes mails, refuses what it is told to, and can be away. */
import { EventEmitter, once } from "node:events"
import { type AddressInfo, createServer, type Server, type Socket } from "node:net"
import type { TestContext } from "node:test"
import { TLSSocket } from "node:tls"
import { type ReadMail, readMail } from "../src/mail/read-mail.ts"

/** A mail that was taken. */
export interface TakenMail extends ReadMail {
  from: string
  to: string[]
  raw: string
  /** Who had logged in, as `user:password`. */
  login: string | undefined
  isEncrypted: boolean
}

/** What to answer instead of the usual, or `"hang up"`; undefined for the usual. `"."` is the end of a mail. */
type Override = (command: string, server: SmtpServer) => string | undefined

export class SmtpServer extends EventEmitter {
  readonly mails: TakenMail[] = []
  /** Every command, as it came; of a login the word AUTH only. */
  readonly commands: string[] = []
  override: Override = () => undefined
  /** With it STARTTLS is offered. */
  tls: { cert: string; key: string } | undefined
  /** Whether TLS is spoken from the first byte, as with `smtps://`. */
  isImplicit = false
  port = 0
  private server: Server | undefined
  private readonly sockets = new Set<Socket>()

  /** Listens where it did before, if it did. */
  async listen(t: TestContext): Promise<void> {
    this.server = createServer((socket) => this.serve(socket))
    this.server.listen(this.port, "127.0.0.1")
    await once(this.server, "listening")
    this.port = (this.server.address() as AddressInfo).port
    t.after(() => this.close())
  }

  /** Waits until so many mails were taken. */
  async taken(count: number): Promise<void> {
    while (this.mails.length < count) await once(this, "taken")
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy()
    if (this.server?.listening) await new Promise((resolve) => this.server!.close(resolve))
  }

  /** Its URL, as SMTP_URL has it. */
  url(login = ""): string {
    return `smtp${this.isImplicit ? "s" : ""}://${login && `${login}@`}127.0.0.1:${this.port}`
  }

  /** What an application under test is to be told of it. */
  settings(login = ""): Record<string, string> {
    return { SMTP_URL: this.url(login), MAIL_FROM: "Movies <movies@example.com>", PUBLIC_URL: "https://movies.example" }
  }

  private serve(plain: Socket): void {
    this.sockets.add(plain)
    plain.on("close", () => this.sockets.delete(plain))
    plain.on("error", () => {})
    if (this.isImplicit) new Conversation(this, this.secure(plain))
    else new Conversation(this, plain)
  }

  secure(socket: Socket): TLSSocket {
    const secured = new TLSSocket(socket, { isServer: true, ...this.tls })
    secured.on("error", () => {})
    return secured
  }
}

/** One connection: commands line by line, and a mail up to a line with a dot. */
class Conversation {
  private readonly server: SmtpServer
  private socket: Socket
  private rest = ""
  private envelope: { from: string; to: string[] } = { from: "", to: [] }
  private isMail = false
  private login: string | undefined

  constructor(server: SmtpServer, socket: Socket) {
    this.server = server
    this.socket = socket
    this.read(socket)
    this.say(server.override("greeting", server) ?? "220 test ESMTP")
  }

  private read(socket: Socket): void {
    socket.setEncoding("latin1")
    socket.on("data", (chunk) => {
      this.rest += chunk
      while (this.step()) {}
    })
  }

  /** Takes a command or a mail; false when there is none yet. */
  private step(): boolean {
    const end = this.isMail ? "\r\n.\r\n" : "\r\n"
    // What comes with the DATA command's last line belongs to the mail.
    const at = this.rest.indexOf(end)
    if (at < 0) return false
    const text = this.rest.slice(0, at)
    this.rest = this.rest.slice(at + end.length)
    const answer = this.isMail ? this.take(`${text}\r\n`) : this.obey(text)
    this.isMail = answer.startsWith("354")
    this.say(answer)
    return true
  }

  private say(answer: string): void {
    if (answer === "hang up") this.socket.destroy()
    else if (answer !== "nothing") this.socket.write(`${answer}\r\n`)
  }

  private obey(line: string): string {
    const [command = ""] = line.toUpperCase().split(/[ :]/)
    this.server.commands.push(command === "AUTH" ? command : line)
    const other = this.server.override(line, this.server)
    if (other !== undefined) return other
    const address = /<([^>]*)>/.exec(line)?.[1] ?? ""
    switch (command) {
      case "EHLO": {
        const canEncrypt = this.server.tls && !(this.socket instanceof TLSSocket)
        return `250-test\r\n${canEncrypt ? "250-STARTTLS\r\n" : ""}250-AUTH PLAIN\r\n250 8BITMIME`
      }
      case "STARTTLS":
        this.socket.write("220 go on\r\n")
        this.socket.removeAllListeners("data")
        this.socket = this.server.secure(this.socket)
        this.read(this.socket)
        return "nothing"
      case "AUTH": {
        const [, user, password] = Buffer.from(line.split(" ")[2] ?? "", "base64")
          .toString()
          .split("\0")
        this.login = `${user}:${password}`
        return "235 welcome"
      }
      case "MAIL":
        this.envelope = { from: address, to: [] }
        return "250 ok"
      case "RCPT":
        this.envelope.to.push(address)
        return "250 ok"
      case "DATA":
        return "354 go on"
      case "QUIT":
        return "221 bye"
      default:
        return "250 ok"
    }
  }

  private take(stuffed: string): string {
    const raw = stuffed.replace(/^\.\./gm, ".")
    const other = this.server.override(".", this.server)
    // It may have been taken although the answer is lost.
    if (other !== undefined && !["hang up", "nothing"].includes(other)) return other
    this.server.mails.push({
      ...this.envelope,
      ...readMail(Buffer.from(raw, "latin1")),
      raw,
      login: this.login,
      isEncrypted: this.socket instanceof TLSSocket,
    })
    this.server.emit("taken")
    return other ?? "250 taken"
  }
}
