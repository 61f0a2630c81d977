/** The question whether the server is there, asked on a connection of its own: made when it is needed, kept for a while. */
import pg from "pg"

/** Without a byte in so many looks in a row the question counts as not answered. */
export const looksForAnswer = 6

/** The connection is closed when nothing was asked in so many looks. */
const looksUnused = 14

/** The server does not answer; see `isUnreachable`. */
export class DatabaseUnreachable extends Error {
  readonly code = "DATABASE_UNREACHABLE"

  constructor() {
    super("it does not answer")
    this.name = "DatabaseUnreachable"
  }
}

/** What pg's client has besides what it declares. It counts only for the version that the kit pins. */
export type Client = pg.Client & {
  connection: { stream: Stream }
  /** False while a query runs, undefined while the connection is made. */
  readyForQuery: boolean | undefined
  /** False once the connection is broken. */
  _queryable: boolean
}

export interface Stream {
  bytesRead: number
  destroyed: boolean
  destroy(error?: Error): void
}

export class ServerQuestion {
  private readonly options: pg.ClientConfig
  private client: Client | undefined
  private asked: Promise<void> | undefined
  private received = 0
  private silent = 0
  private unused = 0

  constructor(options: pg.ClientConfig) {
    this.options = options
  }

  get isOpen(): boolean {
    return this.client !== undefined
  }

  get isAsked(): boolean {
    return this.asked !== undefined
  }

  /**
   * Rejects when the server cannot be reached, refuses, or is silent in too many calls of {@link look}. All who ask at the same
   * time get the same answer.
   */
  ask(): Promise<void> {
    this.asked ??= this.put().finally(() => {
      this.asked = undefined
    })
    return this.asked
  }

  /** To be called now and then. Whether anything has come since the last time. */
  look(): boolean {
    const before = this.received
    this.received = this.client?.connection.stream.bytesRead ?? 0
    const isHeard = this.received > before
    this.silent = isHeard || !this.isAsked ? 0 : this.silent + 1
    this.unused = this.isAsked ? 0 : this.unused + 1
    if (this.silent >= looksForAnswer || this.unused >= looksUnused) this.drop(new DatabaseUnreachable())
    return isHeard
  }

  /** Without a goodbye, which a server that hangs would not hear. Whoever waits for the answer fails. */
  drop(reason?: Error): void {
    const { client } = this
    this.client = undefined
    client?.connection.stream.destroy(reason)
  }

  private async put(): Promise<void> {
    this.silent = 0
    this.unused = 0
    try {
      const client = this.client ?? (await this.connect())
      await client.query("select 1")
    } catch (error) {
      this.drop()
      throw error
    }
  }

  private async connect(): Promise<Client> {
    const client = new pg.Client(this.options) as Client
    this.client = client
    client.on("error", () => {
      if (client === this.client) this.drop()
    })
    await client.connect()
    return client
  }
}
