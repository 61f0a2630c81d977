/**
 * pg's client, which remembers which errors are those of its connection: a file that is not there, or a server of somebody else,
 * fails with the same codes, and means nothing for the database.
 */
import type { EventEmitter } from "node:events"
import pg from "pg"

const broken = new WeakSet<Error>()

/** Whether it is the error of a connection to the database; see `isUnreachable`. */
export const brokeConnection = (error: Error): boolean => broken.has(error)

/** For every pool whose errors may reach a handler: `new pg.Pool({ Client: DatabaseClient, … })`. */
export class DatabaseClient extends pg.Client {
  constructor(options?: string | pg.ClientConfig) {
    super(options)
    // pg does not declare it. Ours hears an error before pg's own listener, which hands it on to whoever waits.
    const { connection } = this as unknown as { connection: EventEmitter }
    connection.on("error", (error: unknown) => {
      if (error instanceof Error) broken.add(error)
    })
  }
}
