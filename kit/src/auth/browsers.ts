/**
 * Browsers that logged in to an account before. Such a browser has a limit of wrong passwords of its own, so that nobody else
 * can lock the owner out of it (OWASP, "Device cookies").
 */
import { randomBytes } from "node:crypto"
import type { FastifyReply, FastifyRequest } from "fastify"
import { sql } from "kysely"
import type { Config } from "../core/config/index.ts"
import type { Db } from "../db/database.ts"
import { hashToken } from "./api-keys.ts"
import { createCookie } from "./session-cookie.ts"

/** The longest that browsers keep a cookie (RFC 6265bis). */
const keptForMs = 400 * 24 * 60 * 60 * 1000

/** More of an account than anybody uses; the one that was not used for longest goes. */
const browsersOfAccount = 50

export class Browsers {
  private readonly db: Db
  private readonly cookie

  constructor(db: Db, settings: Config["session"]) {
    this.db = db
    this.cookie = createCookie("browser", settings)
  }

  /** The name by which the browser's wrong passwords are counted; undefined when it never logged in to this account. */
  async find(request: FastifyRequest, userId: string | undefined): Promise<string | undefined> {
    const id = this.cookie.read(request)
    if (!id) return undefined
    const hash = hashToken(id)
    // Asked for an account that is none too, so that both take as long.
    const { rows } = await sql`
      select 1 from trestle.browsers where hash = ${hash} and user_id = ${userId ?? null}`.execute(this.db)
    return rows.length > 0 ? hash.toString("base64url") : undefined
  }

  /** Remembers that the browser logged in to the account. */
  async remember(request: FastifyRequest, reply: FastifyReply, userId: string): Promise<void> {
    // An id that we did not make was planted: who knows it could fill the owner's count.
    const known = this.cookie.read(request)
    const id = known && (await this.isOurs(known)) ? known : randomBytes(32).toString("base64url")
    await sql`
      insert into trestle.browsers (hash, user_id) values (${hashToken(id)}, ${userId})
      on conflict (hash, user_id) do update set used = now()`.execute(this.db)
    await sql`
      delete from trestle.browsers where user_id = ${userId} and hash not in (
        select hash from trestle.browsers where user_id = ${userId} order by used desc limit ${browsersOfAccount}
      )`.execute(this.db)
    this.cookie.write(request, reply, id, keptForMs)
  }

  private async isOurs(id: string): Promise<boolean> {
    const { rows } = await sql`select 1 from trestle.browsers where hash = ${hashToken(id)} limit 1`.execute(this.db)
    return rows.length > 0
  }

  async sweep(): Promise<void> {
    await sql`delete from trestle.browsers where used < now() - interval '400 days'`.execute(this.db)
  }
}
