/** The supervisor as one of its processes sees it. */
import type { Socket } from "node:net"
import type { LimitChannel } from "../core/limit-messages.ts"
import type { FromWorker, ToWorker } from "./messages.ts"

type Kind = ToWorker["type"]
type Of<K extends Kind> = Extract<ToWorker, { type: K }>

export class WorkerChannel {
  private readonly listeners = new Map<Kind, (message: never) => void>()
  private readonly early: ToWorker[] = []
  private sockets: Socket[] = []
  private onSockets: ((sockets: Socket[]) => void) | undefined
  private onLost: (() => void)[] = []
  private last = Promise.resolve()

  constructor() {
    process.on("message", (message, handle) => this.receive(message as ToWorker, handle as Socket))
    process.once("disconnect", () => {
      for (const lost of this.onLost) lost()
    })
  }

  /** Says it. Nobody hears it when the supervisor has ended. */
  send(message: FromWorker): void {
    if (!process.connected) return
    this.last = new Promise((resolve) => process.send!(message, undefined, undefined, () => resolve()))
  }

  /** What came before anybody listened is told first. */
  on<K extends Kind>(kind: K, listener: (message: Of<K>) => void): void {
    this.listeners.set(kind, listener)
    for (const message of this.early.splice(0)) this.tell(message)
  }

  once<K extends Kind>(kind: K): Promise<Of<K>> {
    return new Promise((resolve) => this.on(kind, resolve))
  }

  /** All sockets at once, each time that they come. */
  onListen(listener: (sockets: Socket[]) => void): void {
    this.onSockets = listener
  }

  /** The supervisor as the rate limits see it. */
  limits(windowsFrom: number): LimitChannel {
    return {
      windowsFrom,
      ask: (question) => this.send({ type: "limits", question }),
      onAnswer: (listener) => this.on("limits", ({ answer }) => listener(answer)),
      onLost: (listener) => this.whenLost(listener),
    }
  }

  /** The supervisor has ended, killed perhaps. */
  whenLost(listener: () => void): void {
    if (process.connected) this.onLost.push(listener)
    else listener()
  }

  /** Ends when all that was said is on its way. The channel would keep a process that has nothing else to do. */
  async close(): Promise<void> {
    this.onLost = []
    await this.last
    if (process.connected) process.disconnect()
  }

  private receive(message: ToWorker, socket: Socket | undefined): void {
    if (message.type !== "listen") {
      this.tell(message)
      return
    }
    this.sockets.push(socket!)
    if (this.sockets.length < message.of) return
    this.onSockets?.(this.sockets)
    this.sockets = []
  }

  private tell(message: ToWorker): void {
    const listener = this.listeners.get(message.type)
    if (listener) listener(message as never)
    else this.early.push(message)
  }
}
